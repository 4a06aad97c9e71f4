// Command adopted is what TestAdopt adopts: a service that knows nothing of
// abt2. It answers with a word for itself and one for each service behind it,
// NAME:BUILD:PID:STAMP.
//
// NAME and BUILD say who it is, CALLS which service it calls, and CALLS_AT where
// that is. With FORWARD set it is what a service becomes that is to take part in
// previews: it calls the unversioned name instead and passes the stamp on.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	forward := os.Getenv("FORWARD") != ""
	next := os.Getenv("CALLS_AT")
	if forward {
		next = os.Getenv("ABT2_NAME_" + strings.ToUpper(os.Getenv("CALLS")))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer := fmt.Sprintf("%s:%s:%d:%s", os.Getenv("NAME"), os.Getenv("BUILD"), os.Getpid(), r.Header.Get("Abt2-Env"))
		if next != "" {
			behind, err := call(r, next, forward)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			answer += " " + behind
		}
		fmt.Fprint(w, answer)
	})
	l, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = server.Shutdown(context.Background())
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

// call asks the service at an address on behalf of a request.
func call(r *http.Request, address string, forward bool) (string, error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	if forward {
		for _, name := range []string{"Abt2-Env", "Baggage"} {
			req.Header[name] = r.Header[name]
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", address, res.Status, body)
	}
	return string(body), err
}
