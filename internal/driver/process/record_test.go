package process

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

// damages are what may happen to a record.
var damages = []struct {
	name string
	do   func(path string) error
}{
	{"lost", os.Remove},
	{"cut short", func(path string) error { return os.Truncate(path, 20) }},
	{"emptied", func(path string) error { return os.Truncate(path, 0) }},
	{"edited", func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(strings.Replace(string(b), `"/healthz"`, `"/elsewhere"`, 1)), 0o600)
	}},
	{"another's", func(path string) error {
		return os.WriteFile(path, []byte(`{"protocol": 1, "instance": "web-1-1", "host": "127.0.0.1", "port": 9}`), 0o600)
	}},
}

func TestADamagedRecordIsRestoredFromWhoKeepsTheInstance(t *testing.T) {
	for _, tt := range damages {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			p := m.server()
			m.apply(p, m.workload(order1, 1))
			before := m.healthy(p, 1)[0]
			pid, path := m.get(before, "/pid"), m.record(before)
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.do(path); err != nil {
				t.Fatal(err)
			}
			p = m.server()
			after := m.healthy(p, 1)[0]
			if after.ID != before.ID || after.Address != before.Address || m.get(after, "/pid") != pid {
				t.Errorf("found %+v, was %+v", after, before)
			}
			spec, err := shimpb.ReadSpec(filepath.Dir(path))
			if err != nil || spec.GetHealth() != "/healthz" || spec.GetInstance() != string(before.ID) {
				t.Errorf("the record is %v, %v; was %s", spec, err, want)
			}
			if err := p.Remove(t.Context(), order1); err != nil || len(m.instances(p)) > 0 {
				t.Errorf("Remove: %v, left %v", err, m.instances(p))
			}
		})
	}
}

func TestADamagedRecordThatNobodyKeepsIsReplaced(t *testing.T) {
	for _, tt := range damages {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			p := m.server()
			m.apply(p, m.workload(order1, 1))
			before := m.healthy(p, 1)[0]
			m.signal(m.keeper(p, before.ID), syscall.SIGKILL)
			m.unreachable(p)
			if err := tt.do(m.record(before)); err != nil {
				t.Fatal(err)
			}
			p = m.server()
			m.apply(p, m.workload(order1, 1))
			after := m.healthy(p, 1)[0]
			if whole := tt.name == "edited"; (after.ID == before.ID) != whole {
				t.Errorf("found %s, was %s; want the same only where the record can be read", after.ID, before.ID)
			}
			if got := m.get(after, "/healthz"); got != "ok\n" {
				t.Errorf("the instance answers %q", got)
			}
		})
	}
}

// record is the path of an instance's record.
func (m *machine) record(i abt2.Instance) string {
	return filepath.Join(m.dir, instancesDir, string(i.ID), shimpb.SpecFile)
}
