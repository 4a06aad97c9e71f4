package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"abt2.dev/internal/server"
	"abt2.dev/internal/shim"
	"abt2.dev/lane"
	"abt2.dev/lane/navi"
)

// TestMain lets the test binary be all programs of an installation: the server,
// where it is to be killed, the edge, the shims, and the modules that are released.
func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	var err error
	switch arg := func(i int) string { return strings.TrimPrefix(append(os.Args, "", "")[i], "--dir=") }; arg(1) {
	case "edge":
		err = server.RunEdge(ctx, arg(2), server.EdgeOptions{Takeover: arg(3) == "--takeover", Wait: arg(3) == "--wait"})
	case "shim":
		err = shim.Run(ctx, arg(2))
	case "module":
		err = module(ctx, arg(2))
	case "server":
		err = serverProcess(ctx, arg(2), arg(3) == "--edge-start=false")
	default:
		stop()
		os.Exit(m.Run())
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serverProcess is a server as a process of its own, one that makes faults. It
// prints where it is reached once it is ready, and its process id.
func serverProcess(ctx context.Context, dir string, edgeElsewhere bool) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return server.Run(ctx, server.Config{
		Program: program, DataDir: dir, Listen: "127.0.0.1:0", EdgeListen: "127.0.0.1:0", AllowRoot: true, AllowFaults: true, EdgeElsewhere: edgeElsewhere,
		Log:   slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Ready: func(a server.Addresses) { fmt.Println(a.API, a.Edge, os.Getpid()) },
	})
}

// hop is one module that a request went through.
type hop struct {
	Version     string
	Environment uint64
}

// module serves the hops of the modules it calls, which next names, after its own.
func module(ctx context.Context, next string) error {
	l, err := lane.Join(ctx)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: l.Transport(nil)}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		env, _ := lane.Environment(r.Context())
		hops := []hop{{os.Getenv("ABT2_VERSION"), env}}
		if next != "" {
			more, err := hopsOf(r.Context(), client, "http://"+next+"/", "")
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			hops = append(hops, more...)
		}
		_ = json.NewEncoder(w).Encode(hops)
	})
	mux.HandleFunc("/events", events(os.Getenv("ABT2_VERSION")))
	mux.HandleFunc("/socket", socket(os.Getenv("ABT2_VERSION")))
	mux.Handle("/grpc.testing.TestService/", calls(os.Getenv("ABT2_VERSION")))
	mux.HandleFunc("/online", func(w http.ResponseWriter, r *http.Request) {
		byHTTP, err := onlineByHTTP(r.Context())
		fmt.Fprintf(w, "%s: SDK %t, HTTP %t, error %v", os.Getenv("ABT2_VERSION"), l.Online(), byHTTP, err)
	})
	port, err := strconv.Atoi(os.Getenv("PORT"))
	if err != nil {
		return err
	}
	all := http.NewServeMux()
	all.Handle("/", l.Handler(mux))
	all.Handle(navi.Prefix, navi.NewServer(l, map[string]navi.Service{"Hops": { // receives calls into their environment by itself
		"own": navi.Func0(func(ctx context.Context) (hop, error) {
			env, _ := lane.Environment(ctx)
			return hop{os.Getenv("ABT2_VERSION"), env}, nil
		}),
	}}))
	s := &http.Server{Addr: fmt.Sprintf("%s:%d", os.Getenv("HOST"), port), Handler: all, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan error, 1)
	go func() { done <- s.ListenAndServe() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(limit)
		return l.Close(limit)
	}
}

// onlineByHTTP finds out whether this process's version is online as a program
// without the SDK does, by what docs/sdk.md tells it.
func onlineByHTTP(ctx context.Context) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("ABT2_SERVER")+"/abt2.feed.v1.FeedService/Fetch", strings.NewReader("{}"))
	if err != nil {
		return false, err
	}
	r.Header.Set("Authorization", "Bearer "+os.Getenv("ABT2_CREDENTIAL"))
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	var table struct {
		Products []struct{ Name, Online string }
		// An id is a string: JSON's numbers do not hold 64 bits.
		Environments []struct {
			ID       string
			Versions []string
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&table); err != nil || res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("status %s: %w", res.Status, err)
	}
	for _, p := range table.Products {
		for _, e := range table.Environments {
			if p.Name == os.Getenv("ABT2_PRODUCT") && e.ID == p.Online {
				return slices.Contains(e.Versions, os.Getenv("ABT2_VERSION")), nil
			}
		}
	}
	return false, fmt.Errorf("nothing is online in %+v", table)
}

// hopsOf asks for a page and returns the hops that it names.
func hopsOf(ctx context.Context, client *http.Client, url, cookie string) ([]hop, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var hops []hop
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return nil, fmt.Errorf("status %s: %s", res.Status, why)
	}
	return hops, json.NewDecoder(res.Body).Decode(&hops)
}
