package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"abt2.dev"
)

// Store is what the suite asks of a store.
type Store interface {
	State(ctx context.Context) (*abt2.State, error)
	Update(ctx context.Context, fn func(*abt2.State) error) (*abt2.State, error)
	Mark(ctx context.Context, digest string) (abt2.Mark, error)
	Events(ctx context.Context, product abt2.ProductName, limit int) ([]abt2.Event, error)
}

// Run checks that a store keeps its promises. open returns a fresh one, which
// it closes when the test ends.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"a fresh state":                   freshState,
		"what is stored is read back":     readBack,
		"copies are private":              privateCopies,
		"an error changes nothing":        errorChangesNothing,
		"no change":                       noChange,
		"of two operators one wins":       oneWins,
		"no update is lost":               noneLost,
		"events are numbered and ordered": events,
		"marks":                           marks,
		"an ended context":                endedContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

const product = abt2.DefaultProduct

func create(operator string) func(*abt2.State) error {
	return func(s *abt2.State) error {
		_, err := s.CreateSession(product, abt2.Actor{Operator: operator, Identity: "operator", Now: time.Unix(1, 0)}, "sprint 44", "token")
		return err
	}
}

// Fill releases n modules, so that every kind of record is there.
func Fill(s *abt2.State, n int) error {
	a := abt2.Actor{Operator: "lihua", Identity: "operator", Now: time.Unix(1, 0)}
	if _, err := s.CreateSession(product, a, "the first", "token"); err != nil {
		return err
	}
	var puts []abt2.Put
	var ids []abt2.VersionID
	for i := range n {
		kind, m := abt2.KindService, abt2.ModuleName(fmt.Sprintf("module-%d", i))
		c, err := abt2.DeriveConfig(m, abt2.ConfigPatch{Kind: &kind, Env: map[string]string{"LOG_LEVEL": "info"}})
		if err != nil {
			return err
		}
		artifact := abt2.Artifact{Digest: fmt.Sprintf("%064x", i), Size: 1, Name: string(m), Format: abt2.FormatExecutable}
		puts = append(puts, abt2.Put{Module: m, Artifact: artifact, Config: c, Scale: 2, Address: fmt.Sprintf("127.0.0.1:%d", 10000+i)})
		ids = append(ids, abt2.VersionID{Module: m, Number: 1})
	}
	_, err := s.PutVersions(product, a, puts)
	if err == nil {
		err = s.Begin(product, a, abt2.VerbShip, nil)
	}
	if err == nil {
		err = s.Shipped(product, a, ids, nil)
	}
	s.End(product)
	if err == nil {
		err = s.Begin(product, a, abt2.VerbCommit, nil)
	}
	if err == nil {
		err = s.Commit(product, a)
	}
	return err
}

func freshState(t *testing.T, st Store) {
	s := state(t, st)
	p, err := s.Product(product)
	if err != nil {
		t.Fatal(err)
	}
	if e := s.Online(p); e == nil || len(e.Modules) != 0 {
		t.Errorf("online is %+v, want the empty environment", e)
	}
	if s.Epoch == "" {
		t.Error("the state has no epoch")
	}
}

func readBack(t *testing.T, st Store) {
	after := update(t, st, func(s *abt2.State) error { return Fill(s, 3) })
	if len(after.Events) != 0 {
		t.Errorf("events were taken and are still there: %v", after.Events)
	}
	if want, got := encode(t, after), encode(t, state(t, st)); got != want {
		t.Errorf("stored\n%s\nread\n%s", want, got)
	}
	// Records go, too.
	after = update(t, st, func(s *abt2.State) error {
		delete(s.Modules, "module-1")
		s.End(product)
		return nil
	})
	if s := state(t, st); s.Modules["module-1"] != nil || encode(t, s) != encode(t, after) {
		t.Errorf("read\n%s", encode(t, s))
	}
}

func privateCopies(t *testing.T, st Store) {
	var inside *abt2.State
	after := update(t, st, func(s *abt2.State) error {
		inside = s
		return Fill(s, 1)
	})
	want := encode(t, state(t, st))
	for _, s := range []*abt2.State{inside, after, state(t, st)} {
		s.Products[product].Retiring = append(s.Products[product].Retiring, 1)
		s.Modules["module-0"].Scale = 99
		s.Session(product).Targets["module-0"].Failure = "not theirs to say"
		delete(s.Versions, abt2.VersionID{Module: "module-0", Number: 1})
		s.Releases[0] = 99
	}
	if got := encode(t, state(t, st)); got != want {
		t.Errorf("a copy's change was seen:\n%s\n%s", want, got)
	}
}

func errorChangesNothing(t *testing.T, st Store) {
	want := encode(t, state(t, st))
	refusal := errors.New("refused")
	s, err := st.Update(t.Context(), func(s *abt2.State) error {
		if err := create("lihua")(s); err != nil {
			t.Error(err)
		}
		return refusal
	})
	if err != refusal || s != nil {
		t.Errorf("got %v, %v; want the function's own error", s, err)
	}
	if got := encode(t, state(t, st)); got != want {
		t.Errorf("changed to\n%s", got)
	}
	if events, err := st.Events(t.Context(), product, 0); err != nil || len(events) != 0 {
		t.Errorf("history has %v, %v", events, err)
	}
}

func noChange(t *testing.T, st Store) {
	want := encode(t, state(t, st))
	if got := encode(t, update(t, st, func(*abt2.State) error { return nil })); got != want {
		t.Errorf("got\n%s", got)
	}
}

func oneWins(t *testing.T, st Store) {
	operators := []string{"lihua", "wang", "zhao", "sun"}
	errs := make([]error, len(operators))
	// Everybody sees the state without a session before anybody stores theirs.
	var seen sync.WaitGroup
	seen.Add(len(operators))
	var all sync.WaitGroup
	for i, op := range operators {
		all.Go(func() {
			var once sync.Once
			_, errs[i] = st.Update(t.Context(), func(s *abt2.State) error {
				once.Do(func() {
					seen.Done()
					seen.Wait()
				})
				return create(op)(s)
			})
		})
	}
	all.Wait()
	winner := state(t, st).Session(product).Operator
	for i, op := range operators {
		if (errs[i] == nil) != (op == winner) || errs[i] != nil && abt2.CodeOf(errs[i]) != abt2.CodeRefused {
			t.Errorf("%s won; %s was told %v", winner, op, errs[i])
		}
	}
	events, err := st.Events(t.Context(), product, 0)
	if err != nil || len(events) != 1 {
		t.Errorf("history has %v, %v", events, err)
	}
}

func noneLost(t *testing.T, st Store) {
	update(t, st, func(s *abt2.State) error { return Fill(s, 1) })
	const writers, each = 4, 10
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				if _, err := st.Update(t.Context(), func(s *abt2.State) error { s.Modules["module-0"].Scale++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := state(t, st).Modules["module-0"].Scale; got != 2+writers*each {
		t.Errorf("counted %d of %d", got, 2+writers*each)
	}
}

func events(t *testing.T, st Store) {
	const n = 7
	for i := range n {
		name := product
		if i%3 == 0 {
			name = "other"
		}
		update(t, st, func(s *abt2.State) error {
			s.Events = append(s.Events, abt2.Event{Product: name, Verb: fmt.Sprint("a", i)}, abt2.Event{Product: name, Verb: fmt.Sprint("b", i)})
			return nil
		})
	}
	for limit, want := range map[int][]string{
		0:   {"b5", "a5", "b4", "a4", "b2", "a2", "b1", "a1"},
		3:   {"b5", "a5", "b4"},
		100: {"b5", "a5", "b4", "a4", "b2", "a2", "b1", "a1"},
	} {
		list, err := st.Events(t.Context(), product, limit)
		if err != nil {
			t.Fatal(err)
		}
		var verbs []string
		last := uint64(2*n + 1)
		for _, e := range list {
			verbs = append(verbs, e.Verb)
			if e.Seq >= last || e.Seq == 0 {
				t.Errorf("%s has number %d after %d", e.Verb, e.Seq, last)
			}
			last = e.Seq
		}
		if !slices.Equal(verbs, want) {
			t.Errorf("limit %d: got %v, want %v", limit, verbs, want)
		}
	}
	if list, err := st.Events(t.Context(), "none", 0); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v", list, err)
	}
}

func marks(t *testing.T, st Store) {
	mark := func(digest string) abt2.Mark {
		t.Helper()
		m, err := st.Mark(t.Context(), digest)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := mark("a")
	if first.Epoch != state(t, st).Epoch || first.Revision == 0 {
		t.Errorf("got %+v", first)
	}
	update(t, st, create("lihua"))
	if again := mark("a"); again != first {
		t.Errorf("the same table has marks %v and %v", first, again)
	}
	second := mark("b")
	if second.Epoch != first.Epoch || second.Revision <= first.Revision {
		t.Errorf("%v does not follow %v", second, first)
	}
	// What was there before is new again.
	if third := mark("a"); third.Revision <= second.Revision {
		t.Errorf("%v does not follow %v", third, second)
	}
	update(t, st, func(s *abt2.State) error { s.Epoch = "another"; return nil })
	if m := mark("a"); m.Epoch != "another" {
		t.Errorf("got %v after the epoch has changed", m)
	}
}

func endedContext(t *testing.T, st Store) {
	want := encode(t, state(t, st))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, errState := st.State(ctx)
	_, errUpdate := st.Update(ctx, create("lihua"))
	_, errMark := st.Mark(ctx, "a")
	_, errEvents := st.Events(ctx, product, 0)
	for _, err := range []error{errState, errUpdate, errMark, errEvents} {
		if abt2.CodeOf(err) != abt2.CodeUnavailable || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	if got := encode(t, state(t, st)); got != want {
		t.Errorf("changed to\n%s", got)
	}
}

func state(t *testing.T, st Store) *abt2.State {
	t.Helper()
	s, err := st.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func update(t *testing.T, st Store, fn func(*abt2.State) error) *abt2.State {
	t.Helper()
	s, err := st.Update(t.Context(), fn)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func encode(t *testing.T, s *abt2.State) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
