package edge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"abt2.dev"
	"abt2.dev/internal/edge/edgectl"
	"abt2.dev/lane/feedpb"
)

// takeTimeout bounds how long a successor waits for its predecessor.
const takeTimeout = 10 * time.Second

// errNobody says that there is no edge to take over from.
var errNobody = errors.New("no edge runs")

// takeOver gets lock, sockets and routes from the edge that runs on the folder,
// which then takes no more connections. It is called when this process can serve
// at once; succeed must follow. On errNobody nothing has happened;
// on any other error the predecessor goes on, and this process must end.
func (s *server) takeOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.cfg.Dir, edgectl.SocketFile))
	if err != nil {
		return errNobody
	}
	link := c.(*net.UnixConn)
	defer context.AfterFunc(ctx, func() { _ = link.SetDeadline(time.Unix(1, 0)) })()
	if err := s.take(link); err != nil {
		link.Close()
		return abt2.Wrap(abt2.CodeFailed, err, "edge %s: the process that runs does not hand over", s.cfg.ID)
	}
	s.link = link
	return nil
}

func (s *server) take(link *net.UnixConn) error {
	if err := upgradeLink(link); err != nil {
		return err
	}
	if _, err := link.Write([]byte{stepReady}); err != nil {
		return err
	}
	v, err := receiveInventory(link)
	if err != nil {
		return err
	}
	defer v.close()
	if err := s.inherit(v); err != nil {
		return err
	}
	s.predecessor = newPredecessor(v.Control)
	// A predecessor that has died meanwhile is no reason to stop: all is here.
	if _, err := link.Write([]byte{stepTaken}); err != nil {
		return ignoreDeath(err)
	}
	return ignoreDeath(expect(link, stepShut))
}

// upgradeLink asks for the hand-over.
func upgradeLink(link net.Conn) error {
	if _, err := fmt.Fprintf(link, "POST /handover HTTP/1.1\r\nHost: edge\r\nConnection: Upgrade\r\nUpgrade: %s\r\nContent-Length: 0\r\n\r\n", handoverProtocol); err != nil {
		return err
	}
	// The buffer takes nothing away: behind its answer the predecessor says
	// nothing before it is told stepReady.
	res, err := http.ReadResponse(bufio.NewReader(link), nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		res.Body.Close()
		return fmt.Errorf("it answers %s; stop it to have it started anew", res.Status)
	}
	return nil
}

// inherit makes what v holds this process's own.
func (s *server) inherit(v *inventory) error {
	held, err := duplicate(v.files[0])
	if err != nil {
		return err
	}
	s.held = held
	public, err := net.FileListener(v.files[1])
	if err != nil {
		return err
	}
	if v.Listen == s.cfg.Listen && v.ListenFD == s.cfg.ListenFD {
		s.public, err = newGate(public)
	} else {
		public.Close()
		s.public, err = listen(&s.cfg) // asked for elsewhere
	}
	if err != nil {
		return err
	}
	for i, name := range v.Names {
		l, err := net.FileListener(v.files[2+i])
		if err != nil {
			return err
		}
		if err := s.names.inherit(name, l); err != nil {
			return err
		}
	}
	s.metrics.connected.Store(v.Connected)
	if len(v.Routes) == 0 {
		return nil
	}
	routes := &feedpb.EdgeRoutes{}
	if err := proto.Unmarshal(v.Routes, routes); err != nil {
		return err
	}
	return s.apply(routes)
}

// succeed takes the predecessor's place, tells it so, and watches over it from
// then on. On error the predecessor goes on.
func (s *server) succeed() error {
	if err := announce(s.socket, s.cfg.Dir); err != nil {
		return err
	}
	s.names.release()
	_ = s.link.SetDeadline(time.Time{})
	_, err := s.link.Write([]byte{stepServes})
	if err == nil {
		err = expect(s.link, stepLetGo)
	}
	if err := ignoreDeath(err); err != nil {
		return err
	}
	s.links.Go(func() { s.predecessor.watch(s.base, s.link) })
	return nil
}

// ignoreDeath leaves errors that do not come from the other process's end. One
// that changes its mind lives, and says stepKept.
func ignoreDeath(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return nil
	}
	return err
}
