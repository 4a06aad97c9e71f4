package edge

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"abt2.dev"
)

// The benchmarks send what a browser sends, over kept connections, from clients
// and to a backend that do next to nothing themselves: what is measured is the
// proxy. The two are compared by their ratio, in one run.

const benchRequest = "GET /cart/items?page=2 HTTP/1.1\r\nHost: shop.example\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\nReferer: https://shop.example/cart\r\n" +
	"Cookie: sid=8c2f6ad1e0b84d6f; theme=dark; consent=1\r\nBaggage: tenant=eu1,userTier=gold\r\n" +
	"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"

// BenchmarkEdge is the edge with metrics on and no access log.
func BenchmarkEdge(b *testing.B) {
	e := newTestEdge(b, nil)
	e.mustApply(b, routesTo(1, benchBackend(b)))
	benchProxy(b, e.url, benchRequest)
}

// BenchmarkEdgeToken is the same for a verifier with a cookie.
func BenchmarkEdgeToken(b *testing.B) {
	e := newTestEdge(b, nil)
	e.mustApply(b, routesTo(1, benchBackend(b)))
	benchProxy(b, e.url, strings.Replace(benchRequest, "sid=", "abt2="+string(preview)+"; sid=", 1))
}

// BenchmarkReverseProxy is the standard library's proxy with the edge's own
// Transport, BufferPool and http.Server: the baseline.
func BenchmarkReverseProxy(b *testing.B) {
	benchProxy(b, benchPlain(b, newTestEdge(b, nil)), benchRequest)
}

// BenchmarkEdgeBesidePlain sends to the edge and to the baseline in turn, in
// waves so short that both meet the same noise. Its ratio is that of requests a
// second, edge to baseline, by the medians of all waves.
func BenchmarkEdgeBesidePlain(b *testing.B) {
	e := newTestEdge(b, nil)
	e.mustApply(b, routesTo(1, benchBackend(b)))
	edge, plain := benchClients(b, e.url), benchClients(b, benchPlain(b, e))
	var edgeTimes, plainTimes []time.Duration
	for b.Loop() {
		edgeTimes = append(edgeTimes, wave(b, edge))
		plainTimes = append(plainTimes, wave(b, plain), wave(b, plain))
		edgeTimes = append(edgeTimes, wave(b, edge))
	}
	b.ReportMetric(median(plainTimes)/median(edgeTimes), "ratio")
}

func median(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2])
}

// benchPlain serves the baseline and returns its URL.
func benchPlain(b *testing.B, e *testEdge) string {
	target, err := url.Parse("http://" + benchBackend(b))
	if err != nil {
		b.Fatal(err)
	}
	plain := httptest.NewUnstartedServer(nil)
	plain.Config = e.httpServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host
			p.SetXForwarded()
		},
		Transport: e.transports.http1, BufferPool: &e.buffers,
	})
	plain.Start()
	b.Cleanup(plain.Close)
	return plain.URL
}

// benchClients are connections that are kept.
func benchClients(b *testing.B, at string) []net.Conn {
	var out []net.Conn
	for range 32 {
		c, err := net.Dial("tcp", strings.TrimPrefix(at, "http://"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		out = append(out, c)
	}
	return out
}

// wave sends the same number of requests over every connection at once and
// returns how long that took.
func wave(b *testing.B, clients []net.Conn) time.Duration {
	const requests = 50
	began := time.Now()
	var group sync.WaitGroup
	for _, c := range clients {
		group.Go(func() {
			r := bufio.NewReader(c)
			for range requests {
				_, err := io.WriteString(c, benchRequest)
				if err == nil {
					err = skipAnswer(r)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	return time.Since(began)
}

// benchProxy sends a request again and again over kept connections.
func benchProxy(b *testing.B, at, request string) {
	address := strings.TrimPrefix(at, "http://")
	b.SetParallelism(16)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	defer func() { b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op") }()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for pb.Next() {
			if _, err := io.WriteString(c, request); err != nil {
				b.Error(err)
				return
			}
			if err := skipAnswer(r); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// cpuTime is what this process has used of the processors. Beside the requests
// per second it is what a busy machine does not blur.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// skipAnswer reads one answer with a Content-Length.
func skipAnswer(r *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")):
			return io.ErrUnexpectedEOF
		case len(line) == 2:
			_, err := r.Discard(length)
			return err
		case bytes.HasPrefix(line, []byte("Content-Length: ")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[16:]))); err != nil {
				return err
			}
		}
	}
}

// benchBackend answers every request with the same 1 KB.
func benchBackend(b *testing.B) (address string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: private\r\nContent-Length: 1024\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n" + strings.Repeat("x", 1024))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) > 2 {
						continue
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// BenchmarkEdgeVisitor is the edge where a visitor is in a share and a page is
// kept together: a script of a page.
func BenchmarkEdgeVisitor(b *testing.B) {
	e := newTestEdge(b, nil)
	e.mustApply(b, withVisitors(routesTo(1, benchBackend(b))))
	skew := abt2.Skew{Keep: abt2.Duration(time.Minute), Key: skewKey}
	cookies := "Sec-Fetch-Mode: no-cors\r\nCookie: abt2-visitor=1234567890abcdef; abt2-page=" + skew.Sign("e", abt2.DefaultProduct, 2, time.Now()) + "; sid="
	benchProxy(b, e.url, strings.Replace(benchRequest, "Cookie: sid=", cookies, 1))
}
