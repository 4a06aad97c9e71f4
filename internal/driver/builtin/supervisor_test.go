package builtin_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/driver/builtin"
)

func TestEdgeOutlivesItsSupervisor(t *testing.T) {
	f := startFeed(t, "127.0.0.1:0")
	dir := edgeDir(t)
	first := newSupervisor(t, dir, f.address)
	leave := run(t, first)
	before, err := first.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leave() // the server ends

	second := newSupervisor(t, dir, f.address)
	leave = run(t, second)
	after, err := second.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !after.Started.Equal(before.Started) || after.Addresses[0] != before.Addresses[0] {
		t.Errorf("another edge runs: %+v, was %+v", after, before)
	}
	if b, err := second.Metrics(t.Context()); err != nil || !bytes.Contains(b, []byte("abt2_edge_revision_applied")) {
		t.Errorf("metrics %q, error %v", b, err)
	}
	crash(t, second, dir)
	again, err := second.Describe(t.Context())
	if err != nil || again.Addresses[0] != before.Addresses[0] {
		t.Errorf("after a crash: at %v, error %v; was at %v", again.Addresses, err, before.Addresses)
	}
	for range 2 { // repeating succeeds
		if err := second.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := second.Describe(t.Context()); abt2.CodeOf(err) != abt2.CodeUnavailable {
			t.Errorf("after Stop: error %v, want %s", err, abt2.CodeUnavailable)
		}
	}
	leave()
}

func TestSupervisorEndsWithStop(t *testing.T) {
	f := startFeed(t, "127.0.0.1:0")
	s := newSupervisor(t, edgeDir(t), f.address)
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	if _, err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Run after Stop: %v, want nil", err)
	}
}

func TestSupervisorRefusesAnotherEdge(t *testing.T) {
	f := startFeed(t, "127.0.0.1:0")
	dir := edgeDir(t)
	ours := newSupervisor(t, dir, f.address)
	leave := run(t, ours)
	if _, err := ours.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	other, err := builtin.NewSupervisor(builtin.SupervisorConfig{Dir: dir, ID: "edge-2", Command: []string{"unused"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Run(t.Context()); abt2.CodeOf(err) != abt2.CodeRefused {
		t.Errorf("another id: error %v, want %s", err, abt2.CodeRefused)
	}
	leave()
	if err := ours.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSupervisorTriesAgain(t *testing.T) {
	f := startFeed(t, "127.0.0.1:0")
	dir := edgeDir(t)
	credential := filepath.Join(dir, "credential")
	if err := os.Rename(credential, credential+".away"); err != nil {
		t.Fatal(err)
	}
	s := newSupervisor(t, dir, f.address)
	leave := run(t, s)
	until(t, func() bool { // it has said why it cannot start
		b, err := os.ReadFile(filepath.Join(dir, "edge.err"))
		return err == nil && strings.Contains(string(b), "credential")
	})
	if err := os.Rename(credential+".away", credential); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	leave()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestReadySaysWhyAnEdgeCannotStart(t *testing.T) {
	dir := edgeDir(t)
	if err := os.Remove(filepath.Join(dir, "credential")); err != nil {
		t.Fatal(err)
	}
	s := newSupervisor(t, dir, "127.0.0.1:1")
	if _, err := s.Ready(t.Context()); abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), "credential") {
		t.Errorf("error %v, want %s that names the credential", err, abt2.CodeFailed)
	}
}

func TestNewSupervisorRefusesBadConfig(t *testing.T) {
	good := builtin.SupervisorConfig{Dir: "d", ID: "edge-1", Command: []string{"abt2"}}
	for what, edit := range map[string]func(*builtin.SupervisorConfig){
		"no folder":  func(c *builtin.SupervisorConfig) { c.Dir = "" },
		"no id":      func(c *builtin.SupervisorConfig) { c.ID = "" },
		"no command": func(c *builtin.SupervisorConfig) { c.Command = nil },
	} {
		c := good
		edit(&c)
		if _, err := builtin.NewSupervisor(c); abt2.CodeOf(err) != abt2.CodeInvalid {
			t.Errorf("%s: error %v, want %s", what, err, abt2.CodeInvalid)
		}
	}
}
