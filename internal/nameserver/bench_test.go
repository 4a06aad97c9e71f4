package nameserver

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// askers is how many programs ask at once, each waiting for its answer.
const askers = 8

// questions is how many make a round of BenchmarkAnswersBesideBare.
const questions = 1000

// BenchmarkAnswers counts answers over UDP on this machine, askers included, who
// allocate nothing. bare is the library answering one constant record.
func BenchmarkAnswers(b *testing.B) {
	edns := question("order.default.abt2.", dns.TypeA)
	edns.SetEdns0(largestUDP, false)
	ours := serve(b, newBook(shop()))
	for _, c := range []struct {
		name string
		at   string
		ask  *dns.Msg
	}{
		{"bare", bare(b), question("order.default.abt2.", dns.TypeA)},
		{"one address", ours, question("v4.order.default.abt2.", dns.TypeA)},
		{"two addresses", ours, question("order.default.abt2.", dns.TypeA)},
		{"EDNS0", ours, edns},
		{"SRV", ours, question("order.default.abt2.", dns.TypeSRV)},
		{"no such name", ours, question("oder.default.abt2.", dns.TypeA)},
	} {
		b.Run(c.name, func(b *testing.B) {
			ask := dial(b, c.at, c.ask)
			b.ReportAllocs()
			b.ResetTimer()
			ask(b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
		})
	}
}

// BenchmarkAnswersBesideBare asks both in turns, so that both have the same machine.
func BenchmarkAnswersBesideBare(b *testing.B) {
	name := question("order.default.abt2.", dns.TypeA)
	ours, plain := dial(b, serve(b, newBook(shop())), name), dial(b, bare(b), name)
	var took, tookPlain time.Duration
	for b.Loop() {
		began := time.Now()
		ours(questions)
		between := time.Now()
		plain(questions)
		took, tookPlain = took+between.Sub(began), tookPlain+time.Since(between)
	}
	asked := float64(b.N) * questions
	b.ReportMetric(asked/took.Seconds(), "answers/s")
	b.ReportMetric(asked/tookPlain.Seconds(), "bare-answers/s")
	b.ReportMetric(tookPlain.Seconds()/took.Seconds(), "ratio")
}

func question(name string, rrtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, rrtype) }

// dial returns what asks a server, n times in all.
func dial(b *testing.B, at string, m *dns.Msg) (ask func(n int)) {
	b.Helper()
	q, err := m.Pack()
	if err != nil {
		b.Fatal(err)
	}
	var conns []net.Conn
	for range askers {
		conn, err := new(net.Dialer).DialContext(b.Context(), "udp", at)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		conns = append(conns, conn)
	}
	return func(n int) {
		var group sync.WaitGroup
		for i, conn := range conns {
			share := n / askers
			if i < n%askers {
				share++
			}
			group.Go(func() { askAgain(b, conn, q, share) })
		}
		group.Wait()
	}
}

func askAgain(b *testing.B, conn net.Conn, q []byte, n int) {
	buffer := make([]byte, largestUDP)
	for range n {
		if _, err := conn.Write(q); err != nil {
			b.Error(err)
			return
		}
		if _, err := conn.Read(buffer); err != nil { // on loopback nothing is lost
			b.Error(err)
			return
		}
	}
}

// bare runs the library's server with one answer, and returns its address.
func bare(b *testing.B) string {
	b.Helper()
	pc, err := (&net.ListenConfig{}).ListenPacket(b.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	rr, err := dns.NewRR("order.default.abt2. 1 IN A 127.0.0.1")
	if err != nil {
		b.Fatal(err)
	}
	started, ended := make(chan struct{}), make(chan error, 1)
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.Answer = []dns.RR{rr}
		_ = w.WriteMsg(m) // who asks waits for it
	})}
	go func() { ended <- s.ActivateAndServe() }()
	<-started
	b.Cleanup(func() {
		if err := s.ShutdownContext(context.Background()); err != nil {
			b.Error(err)
		}
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return pc.LocalAddr().String()
}
