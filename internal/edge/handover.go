package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"abt2.dev"
)

// The steps of a hand-over, in their order. Before stepLetGo a successor that
// breaks off leaves the predecessor serving as if nothing had been. See
// docs/adr/0012-edges-hand-over-their-sockets.md.
const (
	stepReady  = 'r' // successor: it can serve as soon as it has the sockets
	stepSocket = 's' // predecessor, one for each socket; it confirms nothing to the server any more
	stepTaken  = 't' // successor: it has sockets and routes
	stepShut   = 'h' // predecessor: it takes no more connections
	stepServes = 'v' // successor: it takes connections, and will confirm to the server
	stepLetGo  = 'g' // predecessor: the sockets are the successor's; its control socket obeys it
	stepKept   = 'k' // predecessor, in place of any other: it has changed its mind
)

// handoverProtocol names the steps above.
const handoverProtocol = "abt2-edge-handover-1"

// giveTimeout bounds how long an edge hears nothing from the server because a
// successor makes it wait.
const giveTimeout = 5 * time.Second

// handOver answers a successor that asks for the sockets, and then stays with it
// until one of the two ends.
func (s *server) handOver(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != handoverProtocol {
		http.Error(w, "this edge hands over by "+handoverProtocol, http.StatusUpgradeRequired)
		return
	}
	if !s.giving.TryLock() {
		http.Error(w, "the sockets are, or are being, another process's", http.StatusConflict)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.giving.Unlock()
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.links.Add(1)
	defer s.links.Done()
	defer conn.Close()
	defer context.AfterFunc(s.base, func() { conn.Close() })()
	if err := s.give(conn.(*net.UnixConn)); err != nil {
		s.log.Warn("hand-over broken off, this process goes on serving", "error", err)
		_ = conn.SetDeadline(time.Now().Add(giveTimeout))
		_, _ = conn.Write([]byte{stepKept})
		s.giving.Unlock()
		return
	}
	s.log.Info("handed over to another process; finishing what is here")
	_, _ = io.Copy(io.Discard, conn) // says nothing more: it ends with the successor
	close(s.alone)
}

// give hands over everything, or fails and leaves this process as it was.
func (s *server) give(c *net.UnixConn) (err error) {
	_ = c.SetDeadline(time.Now().Add(giveTimeout))
	if _, err := fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", handoverProtocol); err != nil {
		return err
	}
	if err := expect(c, stepReady); err != nil {
		return err
	}
	// What is confirmed from here on is confirmed by the successor.
	s.member.end()
	s.names.hold()
	defer func() {
		if err != nil {
			s.resume()
		}
	}()
	v, err := s.inventory()
	if err != nil {
		return err
	}
	defer v.close()
	if err := sendInventory(c, v); err != nil {
		return err
	}
	if err := expect(c, stepTaken); err != nil {
		return err
	}
	s.public.Shut()
	s.names.shut()
	if _, err := c.Write([]byte{stepShut}); err != nil {
		return err
	}
	// No limit: only its end tells that the successor does not serve.
	_ = c.SetDeadline(time.Time{})
	if err := expect(c, stepServes); err != nil {
		return err
	}
	s.letGo()
	_, _ = c.Write([]byte{stepLetGo}) // if it has ended, somebody else will start
	return nil
}

// expect reads one step.
func expect(c net.Conn, want byte) error {
	var got [1]byte
	if _, err := io.ReadFull(c, got[:]); err != nil {
		return fmt.Errorf("the other process broke off: %w", err)
	}
	if got[0] != want {
		return fmt.Errorf("step %q where %q was expected", got[0], want)
	}
	return nil
}

// inventory lists what is handed over. The files in it are for sending only.
func (s *server) inventory() (v *inventory, err error) {
	v = &inventory{Control: s.socket, Listen: s.cfg.Listen, ListenFD: s.cfg.ListenFD, Connected: s.metrics.connected.Load()}
	if m := s.routes.Load().message; m != nil {
		if v.Routes, err = proto.Marshal(m); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	add := func(f *os.File, err error) error {
		if err == nil {
			v.files = append(v.files, f)
		}
		return err
	}
	if err := errors.Join(add(duplicate(s.held)), add(s.public.File())); err != nil {
		return v, err
	}
	for _, l := range s.names.listening() {
		if err := add(l.gate.File()); err != nil {
			return v, err
		}
		v.Names = append(v.Names, l.Name)
	}
	return v, nil
}

// resume makes this process the edge again, after a successor that never was.
func (s *server) resume() {
	if err := announce(s.socket, s.cfg.Dir); err != nil {
		s.log.Error("control socket cannot be announced again", "error", err)
	}
	s.public.Open()
	s.names.release()
	if client, err := s.newFeed(); err != nil {
		s.log.Error("feed cannot be joined again; serving from the last routes", "error", err)
	} else {
		s.member.join(s.base, client)
	}
}

// letGo closes what the successor has.
func (s *server) letGo() {
	s.handed.Store(true)
	close(s.given)
	_ = s.public.Close()
	s.names.letGo()
	_ = s.held.Close()
}

// windUp ends a process that has handed over. First it serves the connections
// that it has: each answer ends its connection, so that no client finds one
// closed under its request. What is left then, idle ones and requests that take
// long, is drained as at any end, but for longer.
func (s *server) windUp(ctx context.Context, outside *http.Server) {
	all, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.HandoverTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { // asked to end: no longer than any other
		stop, given := context.WithTimeout(all, s.cfg.DrainTimeout)
		defer given()
		s.predecessor.stop(stop)
		<-stop.Done()
		cancel()
	})()
	kept, leave := context.WithTimeout(all, keptTimeout)
	defer leave()
	defer context.AfterFunc(ctx, leave)()
	s.links.Go(func() {
		select {
		case <-s.alone: // nobody tells what to stamp: no more requests
			leave()
		case <-kept.Done():
		}
	})
	s.unconnected(kept)
	s.drain(all, outside)
	s.waitIdle(all)
	s.sayGoodbye()
	s.predecessor.wait(all)
}

// sayGoodbye ends the streams that are still open because this process does.
func (s *server) sayGoodbye() {
	ctx, cancel := context.WithTimeout(s.base, goodbyeTimeout)
	defer cancel()
	for env := range s.carrier.Carried() {
		s.carrier.Close(env)
	}
	s.waitIdle(ctx)
}

// goodbyeTimeout bounds how long the other side of a stream is waited for.
const goodbyeTimeout = 2 * time.Second

// keptTimeout bounds how long connections are kept that nobody uses.
const keptTimeout = 10 * time.Second

// waitIdle returns when no request is at work any more, upgraded connections
// included, or when ctx ends.
func (s *server) waitIdle(ctx context.Context) {
	for ctx.Err() == nil {
		next, busy := s.drains.next(), false
		carried := s.carrier.Carried()
		for env := range carried {
			busy = s.carrier.Watch(env) || busy
		}
		if len(carried) == 0 {
			return
		}
		if busy {
			select {
			case <-next:
			case <-ctx.Done():
			}
		}
	}
}

// duplicate is a second descriptor of the same open file.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "%s: cannot be handed over", f.Name())
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
