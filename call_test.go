package abt2_test

import (
	"slices"
	"testing"
	"time"

	"abt2.dev"
)

func TestCallRequests(t *testing.T) {
	good := abt2.CallRequest{Module: "order", Method: "get", Arguments: []string{"7"}}
	for name, change := range map[string]func(*abt2.CallRequest){
		"module":      func(r *abt2.CallRequest) { r.Module = "Or/der" },
		"method":      func(r *abt2.CallRequest) { r.Method = "a b" },
		"no method":   func(r *abt2.CallRequest) { r.Method = "" },
		"interface":   func(r *abt2.CallRequest) { r.Interface = "../x" },
		"argument":    func(r *abt2.CallRequest) { r.Arguments = []string{"{"} },
		"types":       func(r *abt2.CallRequest) { r.Types = []string{"int", "int"} },
		"two places":  func(r *abt2.CallRequest) { r.Environment, r.Token = 43, "Zm9v" },
		"much time":   func(r *abt2.CallRequest) { r.Timeout = abt2.MaxCall + time.Second },
		"no time yet": func(r *abt2.CallRequest) { r.Timeout = -1 },
	} {
		r := good
		change(&r)
		if err := r.Validate(); abt2.CodeOf(err) != abt2.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	got := abt2.JavaTypes([]string{"7", "-1.5", "1e3", "true", `"x"`, "[1]", `{"a":1}`, "null"})
	want := []string{"long", "double", "double", "boolean", "java.lang.String", "java.util.List", "java.util.Map", "java.lang.Object"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
