package nameserver

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// What is no question is answered by nothing or by FORMERR, and keeps nobody
// from being answered after it.
func TestMalformedPackets(t *testing.T) {
	at := serve(t, newBook(shop()))
	whole, err := question("order.default.abt2.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	loop := append([]byte{}, whole[:12]...) // a name that points to itself
	loop = append(loop, 0xc0, 12, 0, 1, 0, 1)
	many := append([]byte{}, whole...)
	binary.BigEndian.PutUint16(many[4:], 0xffff) // questions that are not there
	response := append([]byte{}, whole...)
	response[2] |= 0x80
	packets := map[string][]byte{
		"nothing": {}, "a byte": {0}, "half a header": whole[:6], "a header alone": whole[:12], "half a name": whole[:16],
		"a loop": loop, "questions that are not there": many, "an answer": response, "ones": filledWith(0xff, 64), "a long one": filledWith(0, 4096),
	}
	for name, packet := range packets {
		t.Run(name, func(t *testing.T) {
			conn, err := net.DialTimeout("udp", at, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(packet); err != nil {
				t.Fatal(err)
			}
			// The next question over the same socket is answered; before it there
			// may be an error for the first.
			if _, err := conn.Write(whole); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			for buffer := make([]byte, largestUDP); ; {
				n, err := conn.Read(buffer)
				if err != nil {
					t.Fatalf("nobody answers after it: %v", err)
				}
				var a dns.Msg
				if err := a.Unpack(buffer[:n]); err != nil {
					t.Fatal(err)
				}
				if a.Rcode == dns.RcodeSuccess && len(a.Answer) == 2 {
					break
				}
				if len(a.Answer) > 0 {
					t.Fatalf("%v", &a)
				}
			}
		})
		t.Run(name+", by TCP", func(t *testing.T) {
			conn, err := net.DialTimeout("tcp", at, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(binary.BigEndian.AppendUint16(nil, uint16(len(packet)))); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(packet); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn) // until the server closes
			if err != nil {
				t.Fatalf("the connection is kept: %v", err)
			}
			if len(got) > 2 {
				var a dns.Msg
				if err := a.Unpack(got[2:]); err != nil || a.Rcode == dns.RcodeSuccess && len(a.Answer) > 0 {
					t.Errorf("%v, %v", &a, err)
				}
			}
			if a := ask(t, "tcp", at, "order.default.abt2.", dns.TypeA); len(a.Answer) != 2 {
				t.Errorf("%v", a)
			}
		})
	}
}

func filledWith(b byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = b
	}
	return out
}
