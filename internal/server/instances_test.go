package server_test

import (
	"slices"
	"testing"

	"abt2.dev"
)

// Operators stop, start and restart what serves, and users notice nothing of it.
func TestInstancesComeAndGoUnderLoad(t *testing.T) {
	in := install(t)
	in.release()
	of := func(state abt2.InstanceState) []abt2.InstanceID {
		t.Helper()
		s, err := in.api.Status(t.Context(), abt2.DefaultProduct)
		if err != nil {
			t.Fatal(err)
		}
		var out []abt2.InstanceID
		for _, i := range s.Instances {
			if i.State == state {
				out = append(out, i.ID)
			}
		}
		return out
	}
	run := func(v abt2.Verb, ids ...abt2.InstanceID) {
		t.Helper()
		out, err := in.api.Run(t.Context(), abt2.VerbRequest{By: ann, Verb: v, Product: abt2.DefaultProduct, Instances: ids}, func(abt2.Progress) {})
		if err != nil || len(out.Warnings) > 0 {
			t.Fatalf("%s %v: %v, warnings %v", v, ids, err, out.Warnings)
		}
	}
	load := in.underLoad()
	first := of(abt2.InstanceHealthy)
	if len(first) != 4 {
		t.Fatalf("healthy are %v", first)
	}
	for _, id := range []abt2.InstanceID{first[0], first[2]} { // of order and of web
		run(abt2.VerbInstanceStop, id)
		if got := of(abt2.InstanceStopped); !slices.Equal(got, []abt2.InstanceID{id}) {
			t.Errorf("stopped are %v, want %s", got, id)
		}
		run(abt2.VerbInstanceStart, id)
	}
	run(abt2.VerbInstanceRestart, of(abt2.InstanceHealthy)...)
	last := of(abt2.InstanceHealthy)
	for _, id := range first {
		if slices.Contains(last, id) {
			t.Errorf("%s was restarted and is there still", id)
		}
	}
	if requests, failed, mixed := load(); failed > 0 || mixed > 0 || requests == 0 {
		t.Errorf("%d requests: %d failed, %d mixed; want 0 and 0", requests, failed, mixed)
	}
	if len(last) != 4 {
		t.Errorf("healthy are %v, want 4", last)
	}
	in.noDifference()
}
