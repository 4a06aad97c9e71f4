package all_test

import (
	"bufio"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	loadConnections = 64
	loadRequests    = 25 // of each connection in a round
)

// load sends requests on connections that are kept, and does next to nothing
// itself.
type load struct{ connections []*bufio.ReadWriter }

const loadRequest = "GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\nAccept: */*\r\nCookie: session=1099511627776\r\n\r\n"

func newLoad(b *testing.B, address string) *load {
	l := &load{}
	for range loadConnections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		l.connections = append(l.connections, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)))
	}
	return l
}

// run returns how long a round took.
func (l *load) run(b *testing.B) time.Duration {
	began := time.Now()
	var wg sync.WaitGroup
	for _, c := range l.connections {
		wg.Go(func() {
			for range loadRequests {
				if err := exchange(c); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

// exchange sends a request and reads the answer, which must be of status 200.
func exchange(c *bufio.ReadWriter) error {
	if _, err := c.WriteString(loadRequest); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	length := 0
	for first := true; ; first = false {
		line, err := c.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !strings.HasPrefix(string(line), "HTTP/1.1 200 ") {
			return errors.New(strings.TrimSpace(string(line)))
		}
		if len(line) <= 2 {
			break
		}
		const name = "content-length: "
		if len(line) > len(name) && strings.EqualFold(string(line[:len(name)]), name) {
			if length, err = strconv.Atoi(string(line[len(name) : len(line)-2])); err != nil {
				return err
			}
		}
	}
	_, err := c.Discard(length)
	return err
}
