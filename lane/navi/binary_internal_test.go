package navi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// recorded returns what Navi's own codecs have written, as testdata/java/binary/Record.java
// has them do, by name: in protobuf and in protostuff.
func recorded(t *testing.T) map[string]map[Encoding][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/recorded.tsv")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[Encoding][]byte{}
	for line := range strings.Lines(string(text)) {
		words := strings.Split(strings.TrimSpace(line), "\t")
		one := map[Encoding][]byte{}
		for i, e := range []Encoding{Protobuf, Protostuff} {
			if one[e], err = base64.StdEncoding.DecodeString(words[1+i]); err != nil {
				t.Fatal(err)
			}
		}
		out[words[0]] = one
	}
	return out
}

// TestBinaryRequests: calls are written as Navi writes them, to the byte, and read
// as if they had come in JSON.
func TestBinaryRequests(t *testing.T) {
	app, token := "app", "token"
	list := []any{int64(1), "x", []any{false}}
	for name, c := range map[string]struct {
		arguments []any
		types     []string
		read      []string
	}{
		"call":         {[]any{"ab", 3}, []string{"java.lang.String", "int"}, []string{`"ab"`, `3`}},
		"no arguments": {nil, nil, nil},
		"scalars": {
			[]any{true, -2, -300, -70000, -5000000000, 1.5, -2.25, "é世", []byte{0, 1, 255}, time.UnixMilli(1234567890123)},
			[]string{"boolean", "byte", "short", "int", "long", "float", "double", "java.lang.String", "[B", "java.util.Date"},
			[]string{`true`, `-2`, `-300`, `-70000`, `-5000000000`, `1.5`, `-2.25`, `"é世"`, `"AAH/"`, `1234567890123`},
		},
		"nested": {
			[]any{list, map[string]any{"k": list}}, []string{"java.util.List", "java.util.Map"},
			[]string{`[1,"x",[false]]`, `{"k":[1,"x",[false]]}`},
		},
	} {
		for e, want := range recorded(t)[name] {
			got, err := e.encodeRequest(&request{TraceID: -7, Method: "join", Parameters: c.arguments, Types: c.types, AppID: &app, Token: &token})
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %s: %v\n%x, want\n%x", name, e, err, got, want)
			}
			in, err := e.decodeRequest(want)
			if err != nil || in.TraceID != -7 || in.Method != "join" || in.AppID != "app" || in.Token != "token" || !slices.Equal(in.Types, c.types) {
				t.Errorf("%s, %s: read %+v, %v", name, e, in, err)
			}
			var read []string
			for _, p := range in.Parameters {
				read = append(read, string(p))
			}
			if !slices.Equal(read, c.read) {
				t.Errorf("%s, %s: read %s, want %s", name, e, read, c.read)
			}
		}
	}
}

// TestBinaryAnswers: the same of answers. What Go has no like of is only read.
func TestBinaryAnswers(t *testing.T) {
	list := []any{int64(1), "x", []any{false}}
	for name, c := range map[string]struct {
		result any
		read   string
	}{
		"null":    {nil, `null`},
		"text":    {"late", `"late"`},
		"number":  {42, `42`},
		"list":    {list, `[1,"x",[false]]`},
		"map":     {map[string]any{"k": list}, `{"k":[1,"x",[false]]}`},
		"char":    {read: `"ß"`},
		"emoji":   {read: `"a😀b"`},
		"decimal": {read: `-12.50`},
		"big":     {read: `-123456789012345678901234567890`},
		"longs":   {read: `[1,-1]`},
		"strings": {read: `["a","b"]`},
		"grid":    {read: `[[1,2],[3]]`},
		"as list": {read: `["a",1]`},
		"numbers": {read: `{"1":null,"2":"two"}`},
		"tree":    {read: `{"a":true}`},
	} {
		for e, want := range recorded(t)[name] {
			if c.result != nil || name == "null" {
				if got, err := e.encodeAnswer(&answer{TraceID: 9, Result: c.result}); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s, %s: %v\n%x, want\n%x", name, e, err, got, want)
				}
			}
			read := json.RawMessage("null")
			a := answer{Result: &read}
			if err := e.decodeAnswer(want, &a); err != nil || string(read) != c.read || a.TraceID != 9 || a.Status != OK || a.Error != nil {
				t.Errorf("%s, %s: read %s, want %s; %+v, %v", name, e, read, c.read, a, err)
			}
		}
	}
}

func TestBinaryErrors(t *testing.T) {
	for e, b := range recorded(t)["error"] {
		var a answer
		if err := e.decodeAnswer(b, &a); err != nil || a.Status != Raised || a.Error == nil || a.Error.Message != "outside" || a.Error.text() != "inside" {
			t.Errorf("%s: %+v, %v", e, a, err)
		}
		ours, err := e.encodeAnswer(&answer{TraceID: 9, Status: Raised, Error: newFault("why")})
		var again answer
		if err == nil {
			err = e.decodeAnswer(ours, &again)
		}
		if err != nil || again.Error.text() != "why" {
			t.Errorf("%s: %+v, %v", e, again, err)
		}
	}
	for name, says := range map[string]string{"pojo": "Orders$Order", "wrapper": "kind 28"} {
		for e, b := range recorded(t)[name] {
			var into any
			if err := e.decodeAnswer(b, &answer{Result: &into}); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "call by JSON") {
				t.Errorf("%s, %s: %v", name, e, err)
			}
		}
	}
	for name, c := range map[string]struct {
		result any
		says   string
	}{
		"struct":     {struct{ A int }{1}, "use scalars, lists and maps, or JSON"},
		"null in it": {[]any{nil}, "null"},
		"func":       {func() {}, "func()"},
		"too big":    {uint64(1) << 63, "more than a long"},
	} {
		if _, err := Protobuf.encodeAnswer(&answer{Result: c.result}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Protobuf.encodeRequest(&request{Parameters: []any{300}, Types: []string{"byte"}}); err == nil || !strings.Contains(err.Error(), "argument 1: 300 is more than 8 bits") {
		t.Error(err)
	}
	deep := any(1)
	for range 2 * deepest {
		deep = []any{deep}
	}
	if _, err := Protostuff.encodeAnswer(&answer{Result: deep}); err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Error(err)
	}
}

// FuzzBinary: whatever comes is read or refused.
func FuzzBinary(f *testing.F) {
	for _, b := range [][]byte{nil, {0}, {0x1a, 0x02, 0x7a, 0x00}, bytes.Repeat([]byte{0x1b}, 1000), {0x12, 0x03, 0xcb, 0x01, 0xff}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = receivedOf(b)
		var into any
		_ = answerOf(b, &answer{Result: &into})
	})
}
