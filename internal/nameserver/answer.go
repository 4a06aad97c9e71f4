package nameserver

import (
	"math/rand/v2"
	"strings"

	"github.com/miekg/dns"
)

const (
	// largestUDP is what we send and announce over UDP (RFC 6891): it fits into
	// one packet nearly everywhere, as DNS Flag Day 2020 has it.
	largestUDP = 1232
	// mostAnswers bounds the records of one answer, which is at most 64 KB long.
	// Another question has others of them.
	mostAnswers = 500
)

// answer answers a question, in at most limit bytes where the asker does not say
// that it takes more.
func (z *zone) answer(q *dns.Msg, limit int) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	edns := q.IsEdns0()
	if edns != nil {
		m.SetEdns0(largestUDP, edns.Do())
		if limit < dns.MaxMsgSize {
			limit = min(max(limit, int(edns.UDPSize())), largestUDP)
		}
	}
	switch {
	case edns != nil && edns.Version() != 0:
		m.Rcode = dns.RcodeBadVers
	case q.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
	case len(q.Question) != 1:
		m.Rcode = dns.RcodeFormatError
	case z == nil:
		m.Rcode = dns.RcodeServerFailure // nothing is known yet
	default:
		z.fill(m, q.Question[0])
	}
	fit(m, limit)
	return m
}

// fill answers one question.
func (z *zone) fill(m *dns.Msg, q dns.Question) {
	name := strings.ToLower(q.Name) // RFC 4343; the question goes back as it came
	if q.Qclass != dns.ClassINET || !dns.IsSubDomain(apex, name) || q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		m.Rcode = dns.RcodeRefused
		return
	}
	m.Authoritative = true
	r, exists := z.find(name)
	if !exists {
		m.Rcode = dns.RcodeNameError
		m.Ns = z.soa
		return
	}
	if m.Answer = some(r.of(q.Qtype)); len(m.Answer) == 0 {
		m.Ns = z.soa // there is such a name, and nothing of that type (RFC 2308)
	}
	for _, rr := range m.Answer {
		if srv, ok := rr.(*dns.SRV); ok {
			m.Extra = append(m.Extra, r.targets[srv.Target]...)
		}
	}
}

// of returns the records of a type. Any is one type that there is (RFC 8482).
func (r *records) of(rrtype uint16) []dns.RR {
	switch rrtype {
	case dns.TypeA:
		return r.a
	case dns.TypeAAAA:
		return r.aaaa
	case dns.TypeSRV:
		return r.srv
	case dns.TypeNS:
		return r.ns
	case dns.TypeSOA:
		return r.soa
	case dns.TypeANY:
		for _, list := range [][]dns.RR{r.soa, r.srv, r.a, r.aaaa} {
			if len(list) > 0 {
				return list
			}
		}
	}
	return nil
}

// some returns the records from a random one on, so that callers who take the
// first one are spread over all.
func some(list []dns.RR) []dns.RR {
	if len(list) < 2 {
		return list
	}
	first, n := rand.IntN(len(list)), min(len(list), mostAnswers)
	out := make([]dns.RR, 0, n)
	for i := range n {
		out = append(out, list[(first+i)%len(list)])
	}
	return out
}

// fit makes the answer small enough. Addresses of SRV records' targets are left
// out before anything that was asked for (RFC 2181, section 9), which is
// truncated, so that the asker comes again by TCP.
func fit(m *dns.Msg, limit int) {
	if opt := m.IsEdns0(); len(m.Extra) > 1 && m.Len() > limit {
		m.Extra = nil
		if opt != nil {
			m.Extra = []dns.RR{opt}
		}
	}
	m.Truncate(limit)
}
