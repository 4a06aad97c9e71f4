package lane_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"abt2.dev/lane"
)

// A module serves within the environment of each request and calls other
// modules by their names. Here, outside abt2, order has a static address.
func Example() {
	order := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "3 orders in environment %s", r.Header.Get("Abt2-Env"))
	}))
	defer order.Close()

	ctx := context.Background()
	l, err := lane.Join(ctx, lane.Static(map[string][]string{"order": {order.Listener.Addr().String()}}))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = l.Close(ctx) }()
	client := &http.Client{Transport: l.Transport(nil)}

	handler := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The request's context carries the environment to the next hop.
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://order/count", nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		res, err := client.Do(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer res.Body.Close()
		_, _ = io.Copy(w, res.Body)
	}))

	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Abt2-Env", "42") // as the edge stamps it
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Body)
	// Output: 3 orders in environment 42
}

// Work that does not begin with a request takes its environment along.
func ExampleWithEnvironment() {
	message := struct{ Environment uint64 }{42} // as it came out of a queue

	ctx := lane.WithEnvironment(context.Background(), message.Environment)
	fmt.Println(lane.Environment(ctx))
	// Output: 42 true
}
