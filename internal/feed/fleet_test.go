package feed_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A fleet is many routers in a process of their own, so that the memory of the
// server can be told from theirs. The process is this test binary, which is told
// by the environment what to be; it ends when its standard input does.

const (
	fleetEnv = "ABT2_TEST_FLEET" // ADDRESS COUNT
	// perAddress keeps far from the number of ports one address has.
	perAddress = 5000
)

// runFleet is the fleet's process.
func runFleet(spec string) error {
	address, count, _ := strings.Cut(spec, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	routers := make(chan int)
	failed := make(chan error, n)
	var joined sync.WaitGroup
	for range 32 { // at a time: what a listener's backlog bears
		joined.Go(func() {
			for i := range routers {
				r, err := dialRaw(fleetDialer(i), address, "instance:"+fleetID(i))
				if err == nil {
					err = r.send(helloMessage(processHello(fleetID(i))))
				}
				if err != nil {
					failed <- fmt.Errorf("router %d: %w", i, err)
					return
				}
				go func() { failed <- fmt.Errorf("router %d: %w", i, r.confirmAll()) }() // ends with the process
			}
		})
	}
	go func() {
		for i := range n {
			routers <- i
		}
		close(routers)
	}()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		failed <- nil
	}()
	return <-failed
}

func fleetID(i int) string { return "router-" + strconv.Itoa(i) }

// fleetDialer spreads connections over loopback addresses where there are
// several, by process too, because ports stay taken for a minute after a run.
func fleetDialer(i int) net.Dialer {
	if runtime.GOOS != "linux" {
		return net.Dialer{}
	}
	return net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1+byte(i/perAddress), byte(os.Getpid()>>8), 1+byte(os.Getpid()%250))}}
}

// confirmAll confirms what it is sent, until the stream ends.
func (r *rawRouter) confirmAll() error {
	for {
		b, err := r.receive()
		if err != nil {
			return err
		}
		a, err := answerTo(b)
		if err != nil {
			return err
		}
		if a != nil {
			if err := r.send(appliedMessage(a)); err != nil {
				return err
			}
		}
	}
}

// startFleet makes n routers join the server, and returns when all have.
func (s *server) startFleet(t testing.TB, n int) {
	t.Helper()
	if err := roomFor(n); err != nil {
		t.Skip(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", fleetEnv, strings.TrimPrefix(s.url, "http://"), n))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		stdin.Close()
		<-ended
	})
	for {
		changed := s.Changed()
		if len(s.Waiting()) == n {
			return
		}
		select {
		case <-changed:
		case err := <-ended:
			ended <- err
			t.Fatalf("the fleet has ended: %v", err)
		}
	}
}
