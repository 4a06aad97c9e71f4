package store

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/store/storetest"
)

// BenchmarkUpdate compares one change in a state of 500 modules with a plain
// put of as many bytes into the same etcd.
func BenchmarkUpdate(b *testing.B) {
	s, err := Open(b.Context(), Config{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Update(b.Context(), func(st *abt2.State) error { return storetest.Fill(st, 500) }); err != nil {
		b.Fatal(err)
	}
	n := 0
	b.Run("update", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Update(b.Context(), func(st *abt2.State) error {
				n++
				st.Modules["module-0"].Scale = n
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			n++
			if _, err := s.client.Put(b.Context(), "/plain", fmt.Sprint(n, strings.Repeat("x", 300))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("state", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.State(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpen is the time until a store with 500 modules is ready, and closed again.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	c := Config{Dir: dir, Log: slog.New(slog.DiscardHandler)}
	s, err := Open(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Update(b.Context(), func(st *abt2.State) error { return storetest.Fill(st, 500) }); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		if s, err = Open(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
	_ = s.Close()
}
