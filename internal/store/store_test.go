package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"abt2.dev"
	"abt2.dev/internal/store"
	"abt2.dev/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return open(t, store.Config{Dir: t.TempDir()}) })
}

// open opens a store that is closed with the test, or before.
func open(t testing.TB, c store.Config) *store.Store {
	t.Helper()
	c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestReopened(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Config{Dir: dir})
	before, err := s.Update(t.Context(), func(st *abt2.State) error { return storetest.Fill(st, 12) })
	if err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), abt2.DefaultProduct, 0)
	if err != nil {
		t.Fatal(err)
	}
	mark, err := s.Mark(t.Context(), "a table")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.State(t.Context()); abt2.CodeOf(err) != abt2.CodeUnavailable {
		t.Errorf("a closed store answers %v", err)
	}

	s = open(t, store.Config{Dir: dir})
	after, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want, got := encode(t, before), encode(t, after); got != want {
		t.Errorf("stored\n%s\nread\n%s", want, got)
	}
	again, err := s.Events(t.Context(), abt2.DefaultProduct, 0)
	if err != nil || len(events) == 0 || encode(t, again) != encode(t, events) {
		t.Errorf("history was\n%v\nis\n%v, %v", events, again, err)
	}
	if m, err := s.Mark(t.Context(), "a table"); err != nil || m != mark {
		t.Errorf("the mark was %v, is %v, %v", mark, m, err)
	}
	if m, err := s.Mark(t.Context(), "another"); err != nil || m.Revision <= mark.Revision || m.Epoch != mark.Epoch {
		t.Errorf("%v does not follow %v, %v", m, mark, err)
	}
}

func TestEpochsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		s, err := open(t, store.Config{Dir: t.TempDir()}).State(t.Context())
		if err != nil || seen[s.Epoch] {
			t.Fatalf("epoch %q again, %v", s.Epoch, err)
		}
		seen[s.Epoch] = true
	}
}

func TestFolderInUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Config{Dir: dir})
	_, err := store.Open(t.Context(), store.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if abt2.CodeOf(err) != abt2.CodeRefused || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("got %v", err)
	}
	if _, err := s.State(t.Context()); err != nil {
		t.Errorf("the first is disturbed: %v", err)
	}
}

func TestFolderCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, code := range map[string]abt2.Code{"": abt2.CodeInvalid, file: abt2.CodeFailed, filepath.Join(file, "x"): abt2.CodeFailed} {
		_, err := store.Open(t.Context(), store.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		if abt2.CodeOf(err) != code || !strings.Contains(err.Error(), "--data") {
			t.Errorf("%q: got %v", dir, err)
		}
	}
}

// TestForTheOwnerAlone: tokens lie in the folder.
func TestForTheOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, store.Config{Dir: dir})
	if _, err := s.Update(t.Context(), func(st *abt2.State) error { return storetest.Fill(st, 1) }); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		files++
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("looked at %d files, %v", files, err)
	}
}

// TestFull fills the database to its limit: a clear answer, nothing lost, and
// room again after a restart.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Config{Dir: dir, Quota: 1 << 20})
	text := strings.Repeat("x", 64<<10)
	grow := func(s *store.Store) error {
		_, err := s.Update(t.Context(), func(st *abt2.State) error {
			sess := st.Session(abt2.DefaultProduct)
			if sess == nil {
				var err error
				sess, err = st.CreateSession(abt2.DefaultProduct, abt2.Actor{Operator: "lihua"}, "", "token")
				if err != nil {
					return err
				}
			}
			sess.Description = fmt.Sprint(len(st.Releases), text) // replaced again and again: only old revisions take room
			st.Releases = append(st.Releases, 1)
			return nil
		})
		return err
	}
	var err error
	stored := 0
	for err == nil {
		if err = grow(s); err == nil {
			stored++
		}
		if stored > 1000 {
			t.Fatal("the limit is not kept")
		}
	}
	if abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), "limit of 1 MiB; restart") || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	check := func() {
		t.Helper()
		if st, err := s.State(t.Context()); err != nil || len(st.Releases) != stored {
			t.Errorf("%d changes were stored, read %v", stored, err)
		}
	}
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, store.Config{Dir: dir, Quota: 1 << 20})
	check()
	if err := grow(s); err != nil {
		t.Errorf("no room after a restart: %v", err)
	}
}

func TestTooMuchAtOnce(t *testing.T) {
	s := open(t, store.Config{Dir: t.TempDir()})
	for name, change := range map[string]func(*abt2.State){
		"records": func(st *abt2.State) {
			for i := range 10_001 {
				m := abt2.ModuleName(fmt.Sprint("m", i))
				st.Modules[m] = &abt2.Module{Name: m}
			}
		},
		"bytes": func(st *abt2.State) {
			st.Products[abt2.DefaultProduct].Hosts = []string{strings.Repeat("x", 11<<20)}
		},
	} {
		_, err := s.Update(t.Context(), func(st *abt2.State) error { change(st); return nil })
		if abt2.CodeOf(err) != abt2.CodeInvalid || !strings.Contains(err.Error(), "10000 records, 10 MiB") {
			t.Errorf("%s: got %.300v", name, err)
		}
	}
	if st, err := s.State(t.Context()); err != nil || len(st.Modules) != 0 {
		t.Errorf("something was stored: %v", err)
	}
}

// TestFiveHundredModules: the largest product there is fits into one change.
func TestFiveHundredModules(t *testing.T) {
	s := open(t, store.Config{Dir: t.TempDir()})
	if _, err := s.Update(t.Context(), func(st *abt2.State) error { return storetest.Fill(st, 500) }); err != nil {
		t.Fatal(err)
	}
}

// TestDumpAndRestore: everything but the epoch comes back, history included.
func TestDumpAndRestore(t *testing.T) {
	s := open(t, store.Config{Dir: t.TempDir()})
	if _, err := s.Update(t.Context(), func(st *abt2.State) error { return storetest.Fill(st, 300) }); err != nil {
		t.Fatal(err)
	}
	for i := range 600 { // more history than one page
		if _, err := s.Update(t.Context(), func(st *abt2.State) error {
			return st.SetScale(abt2.DefaultProduct, abt2.Actor{Operator: "lihua"}, map[abt2.ModuleName]int{"module-0": 1 + i%2})
		}); err != nil {
			t.Fatal(err)
		}
	}
	want, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	history, err := s.Events(t.Context(), abt2.DefaultProduct, 0)
	if err != nil || len(history) < 600 {
		t.Fatalf("%d events, %v", len(history), err)
	}
	var dump bytes.Buffer
	dumped, revision, err := s.Dump(t.Context(), &dump)
	if err != nil || revision == 0 || encode(t, dumped) != encode(t, want) {
		t.Fatalf("dumped at revision %d is\n%s\nwant\n%s, %v", revision, encode(t, dumped), encode(t, want), err)
	}

	dir := t.TempDir()
	restored, err := store.Restore(t.Context(), store.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)}, bytes.NewReader(dump.Bytes()), func(st *abt2.State) error {
		st.Restored(abt2.Actor{Operator: "ann"}, abt2.Given{Environment: 1000}, "a backup")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, store.Config{Dir: dir})
	got, err := r.State(t.Context())
	if err != nil || got.Epoch == want.Epoch || got.Epoch != restored.Epoch || got.LastEnvironment != 1000 {
		t.Fatalf("epoch was %s, is %s, %s was said; last environment %d, %v", want.Epoch, got.Epoch, restored.Epoch, got.LastEnvironment, err)
	}
	got.Epoch, got.LastEnvironment = want.Epoch, want.LastEnvironment
	if encode(t, got) != encode(t, want) {
		t.Errorf("restored\n%s\nwant\n%s", encode(t, got), encode(t, want))
	}
	again, err := r.Events(t.Context(), abt2.DefaultProduct, 0)
	if err != nil || len(again) != len(history)+1 || again[0].Verb != "restore" || again[0].Seq != history[0].Seq+1 || encode(t, again[1:]) != encode(t, history) {
		t.Errorf("history of %d events became %d, beginning with %+v, %v", len(history), len(again), again[0], err)
	}
}

// TestForeignDump: what this abt2 would lose is not restored.
func TestForeignDump(t *testing.T) {
	const meta = `{"key":"/abt2/state/meta","value":{"schema":1,"epoch":"e","last_environment":0,"last_session":0,"last_event":0,"txn":""}}` + "\n"
	for name, tc := range map[string]struct {
		dump string
		code abt2.Code
	}{
		"nothing":        {"", abt2.CodeRefused},
		"no JSON":        {meta + "{", abt2.CodeInvalid},
		"newer schema":   {strings.Replace(meta, `"schema":1`, `"schema":2`, 1), abt2.CodeRefused},
		"newer field":    {strings.Replace(meta, `"txn"`, `"colour":1,"txn"`, 1), abt2.CodeRefused},
		"newer record":   {meta + `{"key":"/abt2/fleet/1","value":{}}`, abt2.CodeRefused},
		"newer event":    {meta + `{"key":"/abt2/event/00000000000000000001","value":{"colour":1}}`, abt2.CodeRefused},
		"somebody's key": {meta + `{"key":"../etc","value":{}}`, abt2.CodeRefused},
	} {
		_, err := store.Restore(t.Context(), store.Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}, strings.NewReader(tc.dump), func(*abt2.State) error { return nil })
		if abt2.CodeOf(err) != tc.code {
			t.Errorf("%s: got %v (%s)", name, err, abt2.CodeOf(err))
		}
	}
}
