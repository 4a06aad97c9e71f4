package lanegrpc_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"abt2.dev/lane/lanegrpc"
)

// TestServer calls web-1 of web@1 as anybody may.
func TestServer(t *testing.T) {
	ln := listen(t)
	f := newFeed(t, tableOf(1, 50, nil, "40 retiring web@1", "41 backup web@1", "42 online web@2", "43 preview web@1"))
	l := f.join(t, "web@1", "web-1")
	srv := grpc.NewServer(lanegrpc.ServerOptions(l)...)
	served := &service{name: "web"}
	testpb.RegisterTestServiceServer(srv, served)
	healthpb.RegisterHealthServer(srv, health.NewServer())
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	defer func() { srv.Stop(); <-done }()
	c := dialPlainly(t, ln.address)

	for _, tt := range []struct {
		name string
		md   []string
		code codes.Code
		want string // in the answer, or in the error
	}{
		{"stamped", []string{"abt2-env", "41"}, codes.OK, "in 41, user , baggage 41"},
		{"label", []string{"abt2-env", "41.x"}, codes.OK, "in 41,"},
		{"case", []string{"Abt2-Env", "41"}, codes.OK, "in 41,"},
		{"baggage", []string{"baggage", "user=7,abt2.env=43"}, codes.OK, "in 43, user 7, baggage 43"},
		{"baggage in two values", []string{"baggage", "user=7", "baggage", "abt2.env=43"}, codes.OK, "in 43, user 7, baggage 43"},
		{"its own stamp wins over baggage", []string{"abt2-env", "41", "baggage", "user=7,abt2.env=43"}, codes.OK, "in 41, user 7, baggage 41"},
		{"not stamped: backup names this version", nil, codes.OK, "in 41,"},
		{"mixed is served", []string{"abt2-env", "42"}, codes.OK, "in 42,"},
		{"retired is served", []string{"abt2-env", "39"}, codes.OK, "in 39,"},
		{"unknown is served", []string{"abt2-env", "99"}, codes.OK, "in 99,"},
		{"largest", []string{"abt2-env", "18446744073709551615"}, codes.OK, "in 18446744073709551615,"},
		{"addressed to this version", []string{"abt2-env", "41", "abt2-to", "web@1"}, codes.OK, "in 41,"},
		{"addressed to this instance", []string{"abt2-env", "41", "abt2-to", "web@1/web-1"}, codes.OK, "in 41,"},
		{"probe", []string{"abt2-probe", "1"}, codes.OK, "in 0,"},
		{"addressed to another instance", []string{"abt2-env", "41", "abt2-to", "web@1/web-2"}, codes.Unavailable, "this is web@1/web-1, not web@1/web-2"},
		{"addressed to another version", []string{"abt2-env", "42", "abt2-to", "web@2"}, codes.Unavailable, "not web@2"},
		{"malformed", []string{"abt2-env", "x"}, codes.InvalidArgument, `"x"`},
		{"empty", []string{"abt2-env", ""}, codes.InvalidArgument, `""`},
		{"zero", []string{"abt2-env", "0"}, codes.InvalidArgument, `"0"`},
		{"negative", []string{"abt2-env", "-1"}, codes.InvalidArgument, `"-1"`},
		{"huge", []string{"abt2-env", "18446744073709551616"}, codes.InvalidArgument, `"18446744073709551616"`},
		{"two in one", []string{"abt2-env", "41,42"}, codes.InvalidArgument, `"41,42"`},
		{"twice", []string{"abt2-env", "41", "abt2-env", "41"}, codes.InvalidArgument, "2 times"},
		{"forged beside the real one", []string{"abt2-env", "41", "Abt2-Env", "43"}, codes.InvalidArgument, "2 times"},
		{"malformed baggage", []string{"baggage", "abt2.env=-1"}, codes.InvalidArgument, "abt2.env"},
		{"twice in baggage", []string{"baggage", "abt2.env=41", "baggage", "abt2.env=41"}, codes.InvalidArgument, "given twice"},
		{"malformed address", []string{"abt2-env", "41", "abt2-to", "web"}, codes.InvalidArgument, "Abt2-To"},
		{"addressed twice", []string{"abt2-to", "web@1", "abt2-to", "web@1"}, codes.InvalidArgument, "2 times"},
	} {
		for _, k := range kinds {
			before := served.calls.Load()
			got, err := k.call(metadata.AppendToOutgoingContext(testContext(t), tt.md...), c)
			if err != nil {
				got = status.Convert(err).Message()
			}
			if status.Code(err) != tt.code || !strings.Contains(got, tt.want) {
				t.Errorf("%s, %s: %v, %q", tt.name, k.name, status.Code(err), got)
			}
			if saw := served.calls.Load() - before; (saw == 1) != (tt.code == codes.OK) {
				t.Errorf("%s, %s: the handler saw %d", tt.name, k.name, saw)
			}
		}
		var trailer metadata.MD
		_, _ = c.UnaryCall(metadata.AppendToOutgoingContext(testContext(t), tt.md...), &testpb.SimpleRequest{}, grpc.Trailer(&trailer))
		if refused := len(trailer["abt2-refused"]) > 0; refused != (tt.code == codes.Unavailable) {
			t.Errorf("%s: trailer %v", tt.name, trailer)
		}
	}
	s := l.Stats()
	if calls := uint64(len(kinds) + 1); fmt.Sprint(s.Mixed) != fmt.Sprintf("map[web@2 web@1:%d]", calls) || s.Unverified != 3*calls || s.Misdirected != 2*calls {
		t.Errorf("%+v", s)
	}
	if len(s.Carried) != 0 {
		t.Errorf("still carried: %v", s.Carried)
	}

	// A health check needs no environment, and this version might have none.
	f.publish(tableOf(2, 50, nil, "42 online web@2"))
	f.confirmed(t, "web-1", 2)
	if _, err := unary(testContext(t), c); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no environment in use names web@1") {
		t.Errorf("without an environment: %v", err)
	}
	conn, err := grpc.NewClient("passthrough:///"+ln.address, lanegrpc.DialOptions(l)...) // of another scheme: left as it is
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := healthpb.NewHealthClient(conn).Check(testContext(t), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("health check: %v", err)
	}
}

// TestStreamsEndWithTheirEnvironment: a stream without an end gets one.
func TestStreamsEndWithTheirEnvironment(t *testing.T) {
	ln := listen(t)
	f := newFeed(t, tableOf(1, 42, map[string][]string{"order@3": {ln.address}}, "42 online web@1 order@3"))
	f.serve(t, ln, "order@3", "order-3-a")
	s, err := dial(t, f.join(t, "web@1", "web-1"), "order").HalfDuplexCall(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	f.close(42)
	for err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "has been retired") {
		t.Errorf("ended with %v", err)
	}
}
