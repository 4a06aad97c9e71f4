package external

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"abt2.dev"
)

// lookupTimeout bounds one lookup.
const lookupTimeout = 5 * time.Second

// resolve keeps a version's addresses at what its DNS name says until ctx ends.
// A lookup that fails or finds nothing changes no address: a name server that is
// down must not take down what it names.
func (p *Platform) resolve(ctx context.Context, v *version, name string, port int) {
	for {
		addresses, err := p.lookup(ctx, name, port)
		p.mu.Lock()
		if ctx.Err() != nil { // looked at under the lock: a version that was removed gets no addresses
			p.mu.Unlock()
			return
		}
		if err == nil {
			err = p.setAddresses(v, addresses)
		}
		p.unresolved(v, err)
		p.mu.Unlock()
		pause := p.cfg.ResolveEvery
		if err != nil {
			p.cfg.Log.Warn("an external version's name could not be resolved; its addresses stay as they were", "version", v.id, "name", name, "error", err)
			pause = min(pause, time.Second)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// unresolved tells of a name that has no addresses yet why. The caller holds p.mu.
func (p *Platform) unresolved(v *version, err error) {
	if err == nil || len(v.instances) != 1 || v.instances[0].Address != "" {
		return
	}
	i := v.instances[0]
	if detail := v.config.External[0] + ": " + err.Error(); i.State != abt2.InstanceStarting || i.Detail != detail {
		i.State, i.Detail = abt2.InstanceStarting, detail
		p.wake()
	}
}

// lookup returns the addresses behind a name, sorted, each once.
func (p *Platform) lookup(ctx context.Context, name string, port int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var out []string
	if port != 0 {
		hosts, err := p.cfg.Resolver.LookupHost(ctx, name)
		if err != nil {
			return nil, shortly(err)
		}
		for _, h := range hosts {
			out = append(out, net.JoinHostPort(h, strconv.Itoa(port)))
		}
	} else {
		_, records, err := p.cfg.Resolver.LookupSRV(ctx, "", "", name)
		if err != nil {
			return nil, shortly(err)
		}
		for _, r := range records {
			out = append(out, net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port))))
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	switch {
	case len(out) == 0:
		return nil, errors.New("has no records")
	case len(out) > abt2.MaxScale:
		return nil, errors.New("has " + strconv.Itoa(len(out)) + " records, at most " + strconv.Itoa(abt2.MaxScale) + " are routed to")
	}
	return out, nil
}

// shortly is a lookup's failure without the server that was asked.
func shortly(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return errors.New(dns.Err)
	}
	return err
}

func compareVersions(a, b abt2.VersionID) int {
	return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.Number, b.Number))
}
