package nameserver

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"abt2.dev"
)

// ask asks as a program would, without questioning by TCP what came by UDP.
func ask(t *testing.T, network, address, name string, rrtype uint16, change ...func(*dns.Msg)) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(name, rrtype)
	for _, c := range change {
		c(q)
	}
	a, _, err := (&dns.Client{Net: network}).ExchangeContext(t.Context(), q, address)
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.TypeToString[rrtype], err)
	}
	return a
}

// said writes an answer as one sorted line.
func said(a *dns.Msg) string {
	var words []string
	for _, rr := range a.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			words = append(words, rr.A.String())
		case *dns.AAAA:
			words = append(words, rr.AAAA.String())
		case *dns.SRV:
			words = append(words, fmt.Sprintf("%s:%d", rr.Target, rr.Port))
		case *dns.NS:
			words = append(words, rr.Ns)
		case *dns.SOA:
			words = append(words, rr.Ns)
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func TestAnswers(t *testing.T) {
	at := serve(t, newBook(shop()))
	for _, c := range []struct {
		name  string
		types string
		want  string
		code  int
	}{
		{"order.default.abt2.", "A", "127.0.0.1 127.0.0.2", dns.RcodeSuccess},
		{"order.default.abt2.", "SRV", "order-3-1.order.default.abt2.:20000 order-3-2.order.default.abt2.:20001", dns.RcodeSuccess},
		{"order.default.abt2.", "AAAA", "", dns.RcodeSuccess},
		{"order.default.abt2.", "TXT", "", dns.RcodeSuccess},
		{"ORDER.Default.aBT2.", "A", "127.0.0.1 127.0.0.2", dns.RcodeSuccess},
		{"order.mall.abt2.", "A", "127.0.0.1", dns.RcodeSuccess},
		{"v4.order.default.abt2.", "SRV", "order-4-1.order.default.abt2.:21000", dns.RcodeSuccess},
		{"v3.order.mall.abt2.", "A", "127.0.0.1 127.0.0.2", dns.RcodeSuccess},
		{"v5.order.default.abt2.", "A", "", dns.RcodeSuccess}, // put, does not run
		{"v6.order.default.abt2.", "A", "", dns.RcodeNameError},
		{"v0.order.default.abt2.", "A", "", dns.RcodeNameError},
		{"v04.order.default.abt2.", "A", "", dns.RcodeNameError},
		{"v18446744073709551616.order.default.abt2.", "A", "", dns.RcodeNameError},
		{"order-3-2.order.default.abt2.", "A", "127.0.0.2", dns.RcodeSuccess},
		{"order-3-3.order.default.abt2.", "A", "", dns.RcodeNameError}, // sick
		{"checkout.default.abt2.", "SRV", "order-3-1.order.default.abt2.:20000 order-3-2.order.default.abt2.:20001 stock-1-1.stock.default.abt2.:22000", dns.RcodeSuccess},
		{"checkout.default.abt2.", "A", "127.0.0.1 127.0.0.1 127.0.0.2", dns.RcodeSuccess},
		{"v1.checkout.default.abt2.", "A", "", dns.RcodeNameError},
		{"nobody.default.abt2.", "A", "", dns.RcodeSuccess},
		{"checkout.mall.abt2.", "A", "", dns.RcodeNameError},
		{"idle.default.abt2.", "A", "", dns.RcodeSuccess}, // not online
		{"oder.default.abt2.", "A", "", dns.RcodeNameError},
		{"order.shop.abt2.", "A", "", dns.RcodeNameError},
		{"default.abt2.", "A", "", dns.RcodeSuccess}, // names lie below it
		{"v1.default.abt2.", "A", "", dns.RcodeNameError},
		{"x.order.default.abt2.", "A", "", dns.RcodeNameError},
		{`v4\.order.default.abt2.`, "A", "", dns.RcodeNameError},
		{"abt2.", "NS", "ns.abt2.", dns.RcodeSuccess},
		{"abt2.", "SOA", "ns.abt2.", dns.RcodeSuccess},
		{"ns.abt2.", "A", "127.0.0.1", dns.RcodeSuccess},
		{"outside.default.abt2.", "A", "10.0.0.1", dns.RcodeSuccess},
		{"outside.default.abt2.", "AAAA", "2001:db8::1", dns.RcodeSuccess},
		{"outside.default.abt2.", "SRV", "order.example.:80 outside-1-1.outside.default.abt2.:80 outside-1-3.outside.default.abt2.:80", dns.RcodeSuccess},
		{"order.default.abt2.", "AXFR", "", dns.RcodeRefused},
		{"order.default.example.", "A", "", dns.RcodeRefused},
		{"notabt2.", "A", "", dns.RcodeRefused},
		{".", "NS", "", dns.RcodeRefused},
	} {
		for _, network := range []string{"udp", "tcp"} {
			a := ask(t, network, at, c.name, dns.StringToType[c.types])
			if got := said(a); got != c.want || a.Rcode != c.code {
				t.Errorf("%s %s by %s: %s %q, want %s %q", c.name, c.types, network, dns.RcodeToString[a.Rcode], got, dns.RcodeToString[c.code], c.want)
			}
			if a.Question[0].Name != c.name {
				t.Errorf("%s: the question came back as %s", c.name, a.Question[0].Name)
			}
			// Nothing is told with the SOA of the zone, by which it may be kept.
			inside := c.code != dns.RcodeRefused
			soa := len(a.Ns) == 1 && a.Ns[0].Header().Rrtype == dns.TypeSOA
			if a.Authoritative != inside || soa != (inside && c.want == "") || a.RecursionAvailable {
				t.Errorf("%s %s: %v", c.name, c.types, a)
			}
			for _, rr := range slices.Concat(a.Answer, a.Ns, a.Extra) {
				if rr.Header().Ttl > ttl {
					t.Errorf("%s: may be kept for %d s: %v", c.name, rr.Header().Ttl, rr)
				}
			}
		}
	}
}

// Who gets SRV records needs no second question.
func TestTargetsComeAlong(t *testing.T) {
	a := ask(t, "udp", serve(t, newBook(shop())), "outside.default.abt2.", dns.TypeSRV)
	var got []string
	for _, rr := range a.Extra {
		got = append(got, rr.Header().Name+" "+dns.TypeToString[rr.Header().Rrtype])
	}
	slices.Sort(got)
	if want := []string{"outside-1-1.outside.default.abt2. AAAA", "outside-1-3.outside.default.abt2. A"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSizes(t *testing.T) {
	at := serve(t, newBook(shop()))
	edns := func(size uint16) func(*dns.Msg) {
		return func(q *dns.Msg) { q.SetEdns0(size, false) }
	}
	for _, c := range []struct {
		network   string
		rrtype    uint16
		change    func(*dns.Msg)
		limit     int
		truncated bool
		least     int // records
	}{
		{"udp", dns.TypeA, func(*dns.Msg) {}, 512, true, 20},
		{"udp", dns.TypeA, edns(100), 512, true, 20},
		{"udp", dns.TypeA, edns(1000), 1000, true, 40},
		{"udp", dns.TypeA, edns(65535), largestUDP, true, 50},
		{"udp", dns.TypeSRV, edns(65535), largestUDP, true, 15},
		{"tcp", dns.TypeA, edns(512), dns.MaxMsgSize, false, mostAnswers},
		{"tcp", dns.TypeSRV, func(*dns.Msg) {}, dns.MaxMsgSize, false, mostAnswers},
	} {
		a := ask(t, c.network, at, "large.default.abt2.", c.rrtype, func(q *dns.Msg) { c.change(q) })
		a.Compress = true // as it came
		if n := a.Len(); n > c.limit || a.Truncated != c.truncated || len(a.Answer) < c.least {
			t.Errorf("%s %s: %d bytes, %d records, truncated %v", c.network, dns.TypeToString[c.rrtype], n, len(a.Answer), a.Truncated)
		}
		var q dns.Msg
		c.change(&q)
		if (q.IsEdns0() != nil) != (a.IsEdns0() != nil) {
			t.Errorf("%s: EDNS0 %v was answered by %v", c.network, q.IsEdns0(), a.IsEdns0())
		}
	}
	// Addresses nobody asked for are left out before anything is truncated.
	a := ask(t, "udp", at, "order.default.abt2.", dns.TypeSRV)
	if a.Truncated || len(a.Extra) != 2 {
		t.Errorf("%v", a)
	}
}

func TestStrangeQuestions(t *testing.T) {
	at := serve(t, newBook(shop()))
	for name, c := range map[string]struct {
		change func(*dns.Msg)
		code   int
	}{
		"another version of EDNS": {func(q *dns.Msg) { q.SetEdns0(1232, false).IsEdns0().SetVersion(1) }, dns.RcodeBadVers},
		"a notification":          {func(q *dns.Msg) { q.Opcode = dns.OpcodeNotify }, dns.RcodeNotImplemented},
		"an update":               {func(q *dns.Msg) { q.Opcode = dns.OpcodeUpdate }, dns.RcodeNotImplemented},
		"another class":           {func(q *dns.Msg) { q.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
		"two questions":           {func(q *dns.Msg) { q.Question = append(q.Question, q.Question[0]) }, dns.RcodeFormatError},
	} {
		if a := ask(t, "tcp", at, "order.default.abt2.", dns.TypeA, c.change); a.Rcode != c.code || len(a.Answer) > 0 {
			t.Errorf("%s: %v", name, a)
		}
	}
	if a := ask(t, "udp", at, "order.default.abt2.", dns.TypeANY); said(a) == "" || len(a.Answer) != 2 {
		t.Errorf("any: %v", a)
	}
	if a := ask(t, "udp", at, "order.default.abt2.", dns.TypeA, func(q *dns.Msg) { q.SetEdns0(1232, true) }); !a.IsEdns0().Do() {
		t.Errorf("DO was not taken over: %v", a)
	}
}

// The first address is not always the same one.
func TestAnswersAreSpread(t *testing.T) {
	z := newZone(shop(), 1, "127.0.0.1:53")
	first := map[string]int{}
	for range 1000 {
		a := z.answer(new(dns.Msg).SetQuestion("order.default.abt2.", dns.TypeA), dns.MaxMsgSize)
		first[a.Answer[0].(*dns.A).A.String()]++
	}
	if len(first) != 2 || first["127.0.0.1"] < 400 || first["127.0.0.2"] < 400 {
		t.Errorf("%v", first)
	}
}

// Answers follow the directory, and before there is one nobody is told that
// there is nothing.
func TestAnswersFollow(t *testing.T) {
	b := newBook(nil)
	at := serve(t, b)
	if a := ask(t, "udp", at, "order.default.abt2.", dns.TypeA); a.Rcode != dns.RcodeServerFailure {
		t.Errorf("before anything is known: %v", a)
	}
	for number, want := range map[uint64]string{3: "127.0.0.1 127.0.0.2", 4: "127.0.0.1", 5: ""} {
		d := shop()
		d.Products["default"].Online["order"] = version("order", number)
		b.turn(t, d)
		a := ask(t, "udp", at, "order.default.abt2.", dns.TypeA)
		if said(a) != want {
			t.Errorf("order@%d: %v", number, a)
		}
	}
}

// Many ask at once while the directory changes.
func TestManyAsk(t *testing.T) {
	b := newBook(shop())
	at := serve(t, b)
	var group sync.WaitGroup
	for _, network := range []string{"udp", "tcp", "udp", "tcp"} {
		group.Go(func() {
			for range 50 {
				q := new(dns.Msg).SetQuestion("checkout.default.abt2.", dns.TypeSRV)
				a, _, err := (&dns.Client{Net: network}).Exchange(q, at)
				if err != nil || len(a.Answer) != 3 {
					t.Errorf("%v, %v", err, a)
				}
			}
		})
	}
	for range 50 {
		b.turn(t, shop())
	}
	group.Wait()
}

func TestAddressTaken(t *testing.T) {
	at := serve(t, newBook(shop()))
	if s, err := Listen(t.Context(), at, nil); abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), "--dns-listen "+at) {
		t.Errorf("%v, %v", s, err)
	}
	// Free for TCP is not enough, and nothing stays taken then. Another process
	// may take a port that has become free, but hardly each of them.
	var taken error
	for range 10 {
		if taken = halfTaken(t); taken == nil {
			return
		}
	}
	t.Errorf("the port stayed taken: %v", taken)
}

// halfTaken listens where UDP is taken, which must fail, and then with TCP alone.
func halfTaken(t *testing.T) error {
	t.Helper()
	udp, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	half := udp.LocalAddr().String()
	if _, err := Listen(t.Context(), half, nil); abt2.CodeOf(err) != abt2.CodeFailed {
		t.Fatalf("%v", err)
	}
	tcp, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", half)
	if err != nil {
		return err
	}
	return tcp.Close()
}

// Whatever is asked is answered, in the size that was asked for, and without
// inventing anything.
func FuzzAnswer(f *testing.F) {
	seed := func(name string, rrtype uint16, size uint16) {
		q := new(dns.Msg).SetQuestion(name, rrtype)
		if size > 0 {
			q.SetEdns0(size, true)
		}
		b, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, name := range []string{"order.default.abt2.", "V4.order.Default.abt2.", "v5.order.default.abt2.", "checkout.default.abt2.", "large.default.abt2.", "abt2.", ".", `a\.b.abt2.`, `\000.abt2.`} {
		for _, rrtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeANY, dns.TypeSOA, dns.TypeAXFR} {
			seed(name, rrtype, 0)
			seed(name, rrtype, 1232)
		}
	}
	z := newZone(shop(), 1, "127.0.0.1:53")
	f.Fuzz(func(t *testing.T, b []byte) {
		q := new(dns.Msg)
		if q.Unpack(b) != nil {
			return // answered by the library
		}
		a := z.answer(q, dns.MinMsgSize)
		packed, err := a.Pack()
		if err != nil {
			t.Fatalf("%v\nto %v: %v", a, q, err)
		}
		if len(packed) > largestUDP && len(q.Question) == 1 {
			t.Errorf("%d bytes to %v", len(packed), q)
		}
		if a.Id != q.Id || !a.Response {
			t.Errorf("%v\nto %v", a, q)
		}
		if a.Rcode == dns.RcodeNameError && (len(a.Answer) > 0 || len(a.Ns) != 1) {
			t.Errorf("nothing there, but %v", a)
		}
		for _, rr := range a.Answer {
			if !strings.EqualFold(rr.Header().Name, q.Question[0].Name) {
				t.Errorf("%v\nto %v", rr, q)
			}
		}
	})
}
