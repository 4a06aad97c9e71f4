package drill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"abt2.dev"
)

// blow is one fault as it is planned.
type blow struct {
	kind   abt2.FaultKind
	offset time.Duration // from when the switch begins; may be negative
	pick   uint64
	length time.Duration
}

// around is how far from the begin of its switch a fault comes, at most: the
// switch itself takes some tens of milliseconds.
const around = 150 * time.Millisecond

// shortest is what a fault that lasts must last at least.
const shortest = time.Millisecond

// plan deals the faults out to the switches: to half of them, or to as many as
// there are kinds, each kind in turn, everything else by the seed.
func plan(r abt2.DrillRequest) map[int]blow {
	if len(r.Faults) == 0 {
		return nil
	}
	chance := rand.New(rand.NewPCG(r.Seed, 0))
	n := min(r.Switches, max(r.Switches/2, len(r.Faults)))
	out := map[int]blow{}
	for i, at := range chance.Perm(r.Switches)[:n] {
		out[at] = blow{
			kind:   r.Faults[i%len(r.Faults)],
			offset: time.Duration(chance.Int64N(int64(2*around))) - around,
			pick:   chance.Uint64(),
			length: shortest + time.Duration(chance.Int64N(int64(r.FaultTime-shortest)+1)),
		}
	}
	return out
}

// trouble is the drill's faults: what was planned, what became of them.
type trouble struct {
	list []abt2.DrillFault
	made []span // how long each may be felt: as long as it said, and until all was whole again
}

func (t *trouble) count(kind abt2.FaultKind, made bool) {
	for i := range t.list {
		if t.list[i].Kind == kind {
			if made {
				t.list[i].Made++
			} else {
				t.list[i].Refused++
			}
			return
		}
	}
	t.list = append(t.list, abt2.DrillFault{Kind: kind})
	t.count(kind, made)
}

// touched reports whether a fault may have been felt in the span.
func (t *trouble) touched(s span) bool {
	for _, m := range t.made {
		if m.from <= s.to && m.to >= s.from {
			return true
		}
	}
	return false
}

// linger notes that the product is not whole yet after what was made.
func (t *trouble) linger(s abt2.Status, now time.Duration) {
	if n := len(t.made); n > 0 && !whole(s) {
		t.made[n-1].to = max(t.made[n-1].to, now)
	}
}

// whole reports whether all that runs is healthy, and all that routes connected.
func whole(s abt2.Status) bool {
	return !slices.ContainsFunc(s.Instances, func(i abt2.InstanceStatus) bool {
		return i.State != abt2.InstanceHealthy && i.State != abt2.InstanceStopped
	}) &&
		!slices.ContainsFunc(s.Routers, func(r abt2.RouterStatus) bool { return !r.Connected })
}

// strike makes one fault. Only one is made at a time.
func (d *Drill) strike(ctx context.Context, p *performance, b blow) {
	from := p.load.now()
	f, err := d.service.Disturb(ctx, abt2.FaultRequest{By: d.request.By, Product: d.request.Product, Kind: b.kind, Pick: b.pick, For: b.length})
	to := p.load.now()
	p.trouble.count(b.kind, err == nil)
	if err != nil {
		p.tell(fmt.Sprintf("fault %s: not made: %v", b.kind, err))
		return
	}
	if b.kind == abt2.FaultInstanceKill {
		p.tally.killed(span{from, to})
	}
	p.trouble.made = append(p.trouble.made, span{from, to + f.For})
	text := fmt.Sprintf("fault %s: %s", b.kind, f.Target)
	if f.For > 0 {
		text += fmt.Sprintf(", for %s", f.For.Round(time.Millisecond))
	}
	p.tell(text)
}
