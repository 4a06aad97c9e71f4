package shim

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"abt2.dev/internal/shim/shimpb"
)

func TestBackoff(t *testing.T) {
	timing := &shimpb.Timing{
		BackoffMin: durationpb.New(time.Second), BackoffMax: durationpb.New(5 * time.Second), BackoffReset: durationpb.New(time.Minute),
	}
	for random, want := range map[float64][]time.Duration{
		0:   {500 * time.Millisecond, time.Second, 2 * time.Second, 2500 * time.Millisecond, 2500 * time.Millisecond},
		0.5: {750 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second, 3750 * time.Millisecond, 3750 * time.Millisecond},
	} {
		b := newBackoff(timing, func() float64 { return random })
		for n, w := range want {
			if got := b.next(); got != w {
				t.Errorf("random %v: delay %d is %v, want %v", random, n, got, w)
			}
			b.healthyFor(59 * time.Second) // not long enough
		}
		b.healthyFor(time.Minute)
		if got := b.next(); got != want[0] {
			t.Errorf("random %v: after a healthy minute %v, want %v", random, got, want[0])
		}
	}
}

func TestVitals(t *testing.T) {
	const (
		start = shimpb.State_STATE_STARTING
		well  = shimpb.State_STATE_HEALTHY
		ill   = shimpb.State_STATE_UNHEALTHY
	)
	tests := []struct {
		checks string // + passes, - fails
		want   []shimpb.State
	}{
		{"--+", []shimpb.State{start, start, well}},
		{"+--+--+", []shimpb.State{well, well, well, well, well, well, well}},
		{"+---", []shimpb.State{well, well, well, ill}},
		{"+---+-", []shimpb.State{well, well, well, ill, well, well}},
		{"+----", []shimpb.State{well, well, well, ill, ill}},
	}
	for _, test := range tests {
		v := &vitals{began: time.Now(), ready: time.Hour}
		for n, c := range test.checks {
			var err error
			if c == '-' {
				err = errors.New("ill")
			}
			state, detail := v.observe(err)
			if state != test.want[n] || (detail == "") != (state == well) {
				t.Errorf("%s: check %d: %v %q, want %v", test.checks, n, state, detail, test.want[n])
			}
		}
	}
	late := &vitals{began: time.Now().Add(-time.Minute), ready: time.Second}
	if state, detail := late.observe(errors.New("ill")); state != start || !strings.Contains(detail, "not healthy within 1s") {
		t.Errorf("beyond ready_timeout: %v %q", state, detail)
	}
}

func TestReadEnvFile(t *testing.T) {
	tests := []struct {
		content string
		want    map[string]string
		err     string
	}{
		{"", map[string]string{}, ""},
		{"A=1\r\n\n # \n#B=2\nC=\"x\"=y \n", map[string]string{"A": "1", "C": "\"x\"=y "}, "line 3"},
		{"A=1\r\n\n#B=2\nC=\"x\"=y ", map[string]string{"A": "1", "C": "\"x\"=y "}, ""},
		{"A=1\nsecret", nil, "line 2: must be KEY=VALUE"},
		{"=secret", nil, "line 1"},
		{"A B=secret", nil, "line 1"},
		{"PORT=secret", nil, "choose another name"},
		{"ABT2_X=secret", nil, "choose another name"},
	}
	for _, test := range tests {
		path := filepath.Join(t.TempDir(), "env")
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readEnvFile(path)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), path) {
				t.Errorf("%q: error %v, want one with the file and %q, and without the content", test.content, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", test.content, err)
		}
		for k, v := range test.want {
			if got[k] != v {
				t.Errorf("%q: %s is %q, want %q", test.content, k, got[k], v)
			}
		}
		if len(got) != len(test.want) {
			t.Errorf("%q: %d variables, want %d", test.content, len(got), len(test.want))
		}
	}
}

func TestProgram(t *testing.T) {
	dir := t.TempDir()
	tool := filepath.Join(dir, "tool")
	if err := os.WriteFile(tool, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want, err string }{
		{"tool", "/absent:" + dir, tool, ""},
		{"data", dir, "", "write ./data"},
		{"tool", "", "", "is not in PATH"},
		{"tool", ".:relative", "", "is not in PATH"},
		{"./api", dir, "/srv/api", ""},
		{"bin/api", dir, "/srv/bin/api", ""},
		{"/opt/api", dir, "/opt/api", ""},
	}
	for _, test := range tests {
		got, err := program(test.name, "/srv", test.path)
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("program %q in PATH %q: %q, %v; want %q, %q", test.name, test.path, got, err, test.want, test.err)
		}
	}
}
