// Command module is what the upgrade's test releases. It is built against the SDK
// of the previous release, so it uses only what that has.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"abt2.dev/lane"
)

// hop is one module that a request went through.
type hop struct {
	Version     string
	Environment uint64
}

// main is called as module NEXT: it serves its own hop, and before those of NEXT.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := lane.Join(ctx)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: l.Transport(nil)}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		env, _ := lane.Environment(r.Context())
		hops := []hop{{os.Getenv("ABT2_VERSION"), env}}
		if len(os.Args) > 2 {
			more, err := ask(r.Context(), client, "http://"+os.Args[2]+"/")
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			hops = append(hops, more...)
		}
		_ = json.NewEncoder(w).Encode(hops) // a client that is gone needs no answer
	})
	s := &http.Server{Addr: net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")), Handler: l.Handler(mux)}
	go func() {
		if err := s.ListenAndServe(); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	<-ctx.Done()
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.Shutdown(limit)
	_ = l.Close(limit)
}

func ask(ctx context.Context, client *http.Client, url string) (hops []hop, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return hops, json.NewDecoder(res.Body).Decode(&hops)
}
