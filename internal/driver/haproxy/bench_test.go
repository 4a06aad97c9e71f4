package haproxy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/driver/haproxy"
)

const (
	benchConnections = 64
	benchRequests    = 100 // of each connection in a round
)

// BenchmarkOfBare compares a driven HAProxy with one that does nothing but pass
// requests on, to the same module, in rounds that take turns. of-bare is how
// much of the bare one's throughput is left.
func BenchmarkOfBare(b *testing.B) {
	if _, err := exec.LookPath("haproxy"); err != nil {
		b.Skip("haproxy is not installed")
	}
	module := answering(b)
	bare := bareHAProxy(b, module)
	dir, err := os.MkdirTemp("/tmp", "abt2-ha-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	e, err := haproxy.New(haproxy.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	driven, err := e.Ready(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	if err := e.Apply(b.Context(), shop(1, abt2.TableInstance{ID: "web-1-1", Address: module})); err != nil {
		b.Fatal(err)
	}
	ways := map[string]*round{bare: newRound(b, bare), driven: newRound(b, driven)}
	for b.Loop() {
		for _, way := range []string{bare, driven} {
			ways[way].run(b)
		}
	}
	const all = benchConnections * benchRequests
	n := float64(b.N * all)
	b.ReportMetric(n/ways[bare].took.Seconds(), "bare-req/s")
	b.ReportMetric(n/ways[driven].took.Seconds(), "driven-req/s")
	b.ReportMetric(ways[bare].took.Seconds()/ways[driven].took.Seconds(), "of-bare")
}

// answering is a module that costs as little as possible.
func answering(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })}
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(l) }()
	b.Cleanup(func() { _ = s.Close(); <-served })
	return l.Addr().String()
}

// bareHAProxy runs an HAProxy with the shortest configuration.
func bareHAProxy(b *testing.B, module string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	conf := filepath.Join(b.TempDir(), "haproxy.cfg")
	text := "defaults\n mode http\n timeout connect 2s\n timeout client 1m\n timeout server 1m\nfrontend f\n bind " + address +
		"\n default_backend b\nbackend b\n server s " + module + "\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("haproxy", "-db", "-f", conf)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return address
		}
		if b.Context().Err() != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Millisecond) // nothing tells that it listens
	}
}

// round sends requests on connections that are kept.
type round struct {
	request     []byte
	connections []*bufio.ReadWriter
	took        time.Duration
}

func newRound(b *testing.B, address string) *round {
	r := &round{request: []byte("GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\nAccept: */*\r\nCookie: session=" + strconv.Itoa(1<<40) + "\r\n\r\n")}
	for range benchConnections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		r.connections = append(r.connections, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)))
	}
	return r
}

func (r *round) run(b *testing.B) {
	began := time.Now()
	var wg sync.WaitGroup
	for _, c := range r.connections {
		wg.Go(func() {
			for range benchRequests {
				if err := r.one(c); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	r.took += time.Since(began)
}

func (r *round) one(c *bufio.ReadWriter) error {
	if _, err := c.Write(r.request); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	length := 0
	for {
		line, err := c.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		const name = "content-length: "
		if len(line) > len(name) && string(line[:len(name)]) == name {
			if length, err = strconv.Atoi(string(line[len(name) : len(line)-2])); err != nil {
				return err
			}
		}
	}
	_, err := c.Discard(length)
	return err
}
