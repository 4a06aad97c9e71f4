package edge

import (
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"abt2.dev"
	"abt2.dev/internal/edge/edgectl"
)

// maxSocketPath is what every system we run on allows for a Unix socket.
const maxSocketPath = 103

// listenControl opens this process's control socket, under a name of its own.
// It can be reached under the name that the edge's keeper knows once it has been
// announced.
func listenControl(dir string) (l net.Listener, path string, err error) {
	path = filepath.Join(dir, socketPrefix+strings.ToLower(rand.Text()[:6])+socketSuffix)
	if len(path) > maxSocketPath {
		return nil, "", abt2.Errorf(abt2.CodeInvalid, "edge folder %s: the path of its socket has %d bytes, at most %d are possible; choose a shorter data folder", dir, len(path), maxSocketPath)
	}
	l, err = net.Listen("unix", path)
	if err != nil {
		return nil, "", abt2.Wrap(abt2.CodeFailed, err, "edge socket %s: cannot be opened", path)
	}
	if err := os.Chmod(path, 0o600); err != nil { // until here the folder's mode protects it
		l.Close()
		return nil, "", abt2.Wrap(abt2.CodeFailed, err, "edge socket %s: cannot be closed to others", path)
	}
	return l, path, nil
}

const socketPrefix, socketSuffix = "edge-", ".sock"

// announce makes the socket the one that the edge's keeper finds, in place of
// any before.
func announce(socket, dir string) error {
	name := filepath.Join(dir, edgectl.SocketFile)
	_, err := os.Lstat(socket) // nobody has taken it for a dead process's
	if err == nil {
		err = os.Symlink(filepath.Base(socket), socket+".new")
	}
	if err == nil {
		err = os.Rename(socket+".new", name)
	}
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "edge socket %s: cannot be replaced", name)
	}
	return nil
}

// removeSockets removes what dead processes have left, all but ours. The
// folder's lock is held.
func removeSockets(ours, dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, socketPrefix+"*"+socketSuffix+"*")) // the pattern is well formed
	for _, name := range left {
		if name != ours {
			_ = os.Remove(name) // one that stays disturbs nobody
		}
	}
}

// control answers the edge's keeper.
func (s *server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /describe", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.describe()) // a keeper that is gone needs no answer
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{DisableCompression: true}))
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "0") // the whole answer is out before the end begins
		w.WriteHeader(http.StatusAccepted)
		_ = http.NewResponseController(w).Flush()
		s.stop()
	})
	mux.HandleFunc("GET /wait", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		select { // the answer ends with the edge, or with its being this process
		case <-r.Context().Done():
		case <-s.given:
		}
	})
	mux.HandleFunc("POST /handover", s.handOver)
	s.obey(mux)
	return mux
}

func (s *server) describe() edgectl.Description {
	return edgectl.Description{
		ID: s.cfg.ID, Boot: s.boot, Started: s.started.Round(time.Microsecond), Version: s.cfg.Version, Args: os.Args,
		Addresses: []string{s.address}, URL: s.cfg.PublicURL,
		Program: s.program, Settings: s.settings,
		Mark: markOf(s.routes.Load().Mark()), Connected: s.metrics.connected.Load(), Names: s.names.states(),
	}
}
