package lane

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"abt2.dev/lane/feedclient"
	"abt2.dev/lane/feedpb"
)

// TestRequestsShareAFetch asks twice while the server has not answered.
func TestRequestsShareAFetch(t *testing.T) {
	answer := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	defer srv.Close()
	client, err := feedclient.New(feedclient.Config{
		Server: srv.URL, Hello: &feedpb.Hello{RouterId: "web-1"},
		Table: func(context.Context, *feedpb.Table) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	l := &Lane{client: client, base: newBase()}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	defer srv.CloseClientConnections()

	first, err1 := l.startFetch(43)
	second, err2 := l.startFetch(44)
	if err1 != nil || err2 != nil || first != second {
		t.Fatalf("two fetches at a time: %v, %v", err1, err2)
	}
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.fetch(impatient, 43); !errors.Is(err, context.Canceled) {
		t.Errorf("a request without patience: %v", err)
	}
	close(answer)
	<-first.done
	if first.err == nil {
		t.Error("the server's refusal is lost")
	}
	third, err := l.startFetch(43)
	if err != nil || third == first {
		t.Errorf("after the answer: %v, the same fetch: %v", err, third == first)
	}
	l.stop()
	if _, err := l.startFetch(43); !errors.Is(err, errClosed) {
		t.Errorf("after close: %v", err)
	}
}
