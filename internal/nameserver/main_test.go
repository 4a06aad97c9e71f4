package nameserver

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"abt2.dev"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func version(m abt2.ModuleName, n uint64) abt2.VersionID {
	return abt2.VersionID{Module: m, Number: n}
}

// running returns n instances of a version that are to be called.
func running(v abt2.VersionID, n, port int) []abt2.NamedInstance {
	var out []abt2.NamedInstance
	for i := range n {
		out = append(out, abt2.NamedInstance{
			InstanceStatus: abt2.InstanceStatus{
				ID: abt2.InstanceID(fmt.Sprintf("%s-%d-%d", v.Module, v.Number, i+1)), Module: v.Module, Version: v,
				Address: fmt.Sprintf("127.0.%d.%d:%d", i/250, i%250+1, port+i),
			},
			Callable: true,
		})
	}
	return out
}

// shop is online with order@3, stock@1, a large module and an external one; order@4
// is in preview, order@5 has been put.
func shop() *abt2.Directory {
	order3, order4, stock, large, outside := version("order", 3), version("order", 4), version("stock", 1), version("large", 1), version("outside", 1)
	d := &abt2.Directory{
		Products: map[abt2.ProductName]abt2.DirectoryProduct{
			"default": {
				Online: map[abt2.ModuleName]abt2.VersionID{"order": order3, "stock": stock, "large": large, "outside": outside},
				Groups: map[abt2.GroupName][]abt2.ModuleName{"checkout": {"idle", "order", "stock"}, "nobody": nil},
			},
			"mall": {Online: map[abt2.ModuleName]abt2.VersionID{"order": order4}},
		},
		Versions: map[abt2.ModuleName]uint64{"order": 5, "stock": 1, "large": 1, "outside": 1, "idle": 1},
		Instances: map[abt2.VersionID][]abt2.NamedInstance{
			order3: running(order3, 3, 20000), order4: running(order4, 1, 21000), stock: running(stock, 1, 22000), large: running(large, 1000, 30000),
			outside: running(outside, 3, 23000),
		},
	}
	d.Instances[order3][2].Callable = false // sick
	d.Instances[outside][0].Address = "[2001:db8::1]:80"
	d.Instances[outside][1].Address = "order.example:80"
	d.Instances[outside][2].Address = "[::ffff:10.0.0.1]:80"
	return d
}

// book is a directory that can be replaced.
type book struct {
	mu      sync.Mutex
	now     *abt2.Directory
	changed chan struct{}
	at      string // where a server answers from it
	serial  uint32 // of the zone made of now
}

func newBook(d *abt2.Directory) *book {
	return &book{now: d, changed: make(chan struct{}), serial: 1}
}

func (b *book) directory() (*abt2.Directory, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now, b.changed
}

// turn replaces the directory, and returns when answers come from the new one.
func (b *book) turn(t testing.TB, d *abt2.Directory) {
	b.mu.Lock()
	old := b.changed
	b.now, b.changed, b.serial = d, make(chan struct{}), b.serial+1
	b.mu.Unlock()
	close(old)
	b.await(t)
}

func (b *book) await(t testing.TB) {
	q := new(dns.Msg).SetQuestion(apex, dns.TypeSOA)
	for {
		a, _, err := new(dns.Client).ExchangeContext(t.Context(), q, b.at)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Answer) == 1 && a.Answer[0].(*dns.SOA).Serial == b.serial {
			return
		}
	}
}

// serve runs a server on a free port, and returns its address.
func serve(t testing.TB, b *book) string {
	t.Helper()
	s, err := Listen(t.Context(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, b.directory) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("the server ended with %v", err)
		}
	})
	b.at = s.Addr()
	if b.now != nil {
		b.await(t)
	}
	return b.at
}
