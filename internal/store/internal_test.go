package store

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"abt2.dev"
)

func openQuiet(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestNewerIsRefused: what this abt2 would lose by writing it back, it does not read.
func TestNewerIsRefused(t *testing.T) {
	for name, record := range map[string][2]string{
		"schema":         {metaKey, `{"schema":2,"epoch":"e","whatever":1}`},
		"field":          {productKey("default"), `{"name":"default","online":1,"colour":"blue"}`},
		"kind of record": {stateKey + "fleet/1", `{}`},
		"no state":       {metaKey, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openQuiet(t, dir)
			if _, err := s.client.Put(t.Context(), record[0], record[1]); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
			if abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "newer") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestTwoReplicas: a second store on the same etcd, as a second replica will
// be, sees every change and loses every race it should.
func TestTwoReplicas(t *testing.T) {
	one := openQuiet(t, t.TempDir())
	two := &Store{dir: one.dir, quota: one.quota, client: one.client}
	create := func(op string) func(*abt2.State) error {
		return func(s *abt2.State) error {
			_, err := s.CreateSession(abt2.DefaultProduct, abt2.Actor{Operator: op}, "", "token")
			return err
		}
	}
	if _, err := two.State(t.Context()); err != nil { // from now on it has a copy that will be out of date
		t.Fatal(err)
	}
	runs := 0
	_, err := two.Update(t.Context(), func(s *abt2.State) error {
		if runs++; runs == 1 {
			if _, err := one.Update(t.Context(), create("lihua")); err != nil {
				t.Error(err)
			}
		}
		return create("wang")(s)
	})
	if runs != 2 || abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), "lihua") {
		t.Errorf("after %d runs: %v", runs, err)
	}
	if s, err := two.State(t.Context()); err != nil || s.Session(abt2.DefaultProduct).Operator != "lihua" {
		t.Errorf("an old state was read, %v", err)
	}
}

// TestRoomIsMadeAgain: a start that is interrupted while it makes room does not
// keep the next from doing so.
func TestRoomIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	s := openQuiet(t, dir)
	alarm := &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: uint64(s.etcd.Server.MemberID()), Alarm: etcdserverpb.AlarmType_NOSPACE}
	if _, err := s.etcd.Server.Alarm(t.Context(), alarm); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Mark(t.Context(), "a"); abt2.CodeOf(err) != abt2.CodeFailed {
		t.Fatalf("the alarm is not heard: %v", err)
	}
	head, err := s.client.Get(t.Context(), metaKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Compact(t.Context(), head.Header.Revision); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openQuiet(t, dir).Mark(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}

// TestOneTransaction: a change of many records is one revision; no change is none.
func TestOneTransaction(t *testing.T) {
	s := openQuiet(t, t.TempDir())
	revision := func() int64 {
		answer, err := s.client.Get(t.Context(), metaKey)
		if err != nil {
			t.Fatal(err)
		}
		return answer.Header.Revision
	}
	before := revision()
	if _, err := s.Update(t.Context(), func(st *abt2.State) error {
		_, err := st.CreateSession(abt2.DefaultProduct, abt2.Actor{Operator: "lihua"}, "", "token")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := revision(); got != before+1 {
		t.Errorf("one change took %d revisions", got-before)
	}
	// Only what changed was written.
	answer, err := s.client.Get(t.Context(), "/abt2/", clientv3.WithPrefix(), clientv3.WithMinModRev(before+1))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, kv := range answer.Kvs {
		keys = append(keys, string(kv.Key))
	}
	want := "/abt2/event/00000000000000000001 /abt2/state/meta /abt2/state/product/default /abt2/state/session/00000000000000000001"
	if got := strings.Join(keys, " "); got != want {
		t.Errorf("written were %s", got)
	}
	if _, err := s.Update(t.Context(), func(*abt2.State) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Mark(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	marked := revision()
	if _, err := s.Mark(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got := revision(); got != marked || marked != before+2 {
		t.Errorf("nothing changed, and %d revisions were made", got-before-2)
	}
}

// TestLog: etcd's lines reach the injected logger, as detail unless etcd is
// about to end the process.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	z := zapTo(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	z.Info("elected")
	z.Sugar().With("member", 7).Errorw("slow", "disk", "sda")
	func() {
		defer func() { _ = recover() }()
		z.Panic("damaged")
	}()
	for _, want := range []string{
		"level=DEBUG msg=elected part=etcd", "level=DEBUG msg=slow part=etcd member=7 disk=sda", "level=ERROR msg=damaged part=etcd",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	zapTo(slog.New(slog.NewTextHandler(&out, nil))).Error("slow")
	if out.Len() != 0 {
		t.Errorf("operators are told %s", out.String())
	}
}
