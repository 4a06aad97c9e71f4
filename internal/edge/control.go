package edge

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"abt2.dev"
	"abt2.dev/internal/edge/edgectl"
)

// maxSocketPath is what every system we run on allows for a Unix socket.
const maxSocketPath = 103

// listenControl opens the control socket. The folder's lock is held: a socket
// found there is a dead edge's.
func listenControl(dir string) (net.Listener, error) {
	path := filepath.Join(dir, edgectl.SocketFile)
	if len(path) > maxSocketPath {
		return nil, abt2.Errorf(abt2.CodeInvalid, "edge folder %s: the path of its socket has %d bytes, at most %d are possible; choose a shorter data folder", dir, len(path), maxSocketPath)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "edge socket %s: cannot be replaced", path)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "edge socket %s: cannot be opened", path)
	}
	if err := os.Chmod(path, 0o600); err != nil { // until here the folder's mode protects it
		l.Close()
		return nil, abt2.Wrap(abt2.CodeFailed, err, "edge socket %s: cannot be closed to others", path)
	}
	return l, nil
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
		<-r.Context().Done() // the answer ends with the edge
	})
	return mux
}

func (s *server) describe() edgectl.Description {
	return edgectl.Description{
		ID: s.cfg.ID, Boot: s.boot, Started: s.started.Round(time.Microsecond), Version: s.cfg.Version, Args: os.Args,
		Addresses: []string{s.address}, URL: s.cfg.PublicURL,
		Mark: markOf(s.routes.Load().Mark()), Connected: s.metrics.connected.Load(), Names: s.names.states(),
	}
}
