package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"abt2.dev"
)

// controlSocket lies in the data folder; who may open it may end the server.
const controlSocket = "server.sock"

// control answers on the data folder's socket: POST /stop ends the server, the
// answer to GET /wait ends with the process, and GET /describe tells who it is.
func control(ctx context.Context, dir string, describe func() description, stop func()) (closeSocket func() error, err error) {
	path := filepath.Join(dir, controlSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "--data %s: no socket can be made there; the path may be too long (its sockets need less than 100 bytes), choose a shorter one", dir)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "0") // the whole answer is out before the end begins
		w.WriteHeader(http.StatusAccepted)
		_ = http.NewResponseController(w).Flush()
		stop()
	})
	mux.HandleFunc("GET /describe", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(describe()) // who has gone needs no answer
	})
	mux.HandleFunc("GET /wait", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	s := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends with Close
	}()
	return func() error {
		err := s.Close()
		<-done
		return err
	}, nil
}

// stopServer ends the server of a data folder and returns when it has ended.
// It returns false if none answers.
func stopServer(ctx context.Context, dir string) (bool, error) {
	client := controlClient(dir)
	// The answer lasts as long as the server; only its beginning is bounded.
	answer, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	late := time.AfterFunc(hangs, func() { giveUp(errHangs) })
	defer late.Stop()
	wait, err := ask(answer, client, http.MethodGet, "/wait")
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case err != nil && errors.Is(context.Cause(answer), errHangs):
		return false, stuck(err, "the server", filepath.Join(dir, controlSocket))
	case err != nil:
		return false, nil // nobody is there
	}
	late.Stop()
	defer wait.Body.Close()
	stop, err := ask(ctx, client, http.MethodPost, "/stop")
	if err != nil {
		return false, abt2.Wrap(abt2.CodeFailed, err, "the server of %s could not be asked to end", dir)
	}
	stop.Body.Close()
	_, _ = io.Copy(io.Discard, wait.Body) // ends, one way or the other, with the server
	return true, context.Cause(ctx)
}

// serverAnswers reports whether a server works on the data folder.
func serverAnswers(ctx context.Context, dir string) bool {
	wait, err := ask(ctx, controlClient(dir), http.MethodGet, "/wait")
	if err == nil {
		wait.Body.Close()
	}
	return err == nil
}

// controlClient asks the server of one data folder, whatever host a URL names.
func controlClient(dir string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, controlSocket))
		},
	}}
}

func ask(ctx context.Context, client *http.Client, method, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://server"+path, nil)
	if err != nil {
		return nil, err
	}
	return client.Do(r)
}
