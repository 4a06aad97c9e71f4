package navi_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"abt2.dev/lane/navi"
)

var update = flag.Bool("update", false, "write down what Navi's codecs write, with ABT2_NAVI")

// needCodecs skips a test unless Navi's own binary codecs are at hand.
func needCodecs(t *testing.T) {
	t.Helper()
	if !binary() {
		t.Skip("ABT2_NAVI has no com.baidu.beidou.navi.codec.protobuf: what it once wrote is in testdata/recorded.tsv")
	}
}

// binary reports whether ABT2_NAVI has the binary codecs, too.
func binary() bool {
	for _, folder := range filepath.SplitList(os.Getenv("ABT2_NAVI")) {
		if _, err := os.Stat(filepath.Join(folder, "com/baidu/beidou/navi/codec/protobuf/ProtobufCodec.class")); err == nil {
			return true
		}
	}
	return false
}

// TestRecorded: testdata/recorded.tsv is what Navi's codecs write.
func TestRecorded(t *testing.T) {
	needCodecs(t)
	const file = "testdata/recorded.tsv"
	p := startJavaClass(t, "Record")
	var lines strings.Builder
	for p.out.Scan() {
		lines.WriteString(p.out.Text() + "\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(lines.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != lines.String() {
		t.Errorf("%s, %v: Navi's codecs write\n%s", file, err, &lines)
	}
}

// TestBinaryJavaCalls: Navi's own client in its binary encodings.
func TestBinaryJavaCalls(t *testing.T) {
	needCodecs(t)
	f := newFeed(t, nil, nil)
	address := serve(t, f.join(t, "order@3", "order-3-1"))
	for _, e := range []navi.Encoding{navi.Protobuf, navi.Protostuff} {
		caller := startJavaClass(t, "BinaryCaller", e.String())
		for call, want := range map[string]string{
			"join\tab\t3":      "= ababab",
			"nothing":          "= null",
			"missing\t1":       "= null",
			"received":         "= 42",
			"refuse\tno\u00e9": "! RuntimeException no\u00e9",
			"get\t7":           "! RuntimeException Orders.get: its result cannot be encoded: a navi_test.order cannot be encoded in " + e.String() + ", which knows a Java class's fields by number alone; use scalars, lists and maps, or JSON",
		} {
			words := append([]string{address, "Orders"}, strings.Split(call, "\t")...)
			if got := caller.ask(t, words...); got != want {
				t.Errorf("%s: %s: %q, want %q", e, call, got, want)
			}
		}
		if got, want := caller.ask(t, address, "Elsewhere", "nothing"), `! RuntimeException no interface "Elsewhere" is served here`; got != want {
			t.Errorf("%s: %q, want %q", e, got, want)
		}
	}
}

// TestBinaryJavaServes: Navi's own codec at the other end.
func TestBinaryJavaServes(t *testing.T) {
	needCodecs(t)
	for _, e := range []navi.Encoding{navi.Protobuf, navi.Protostuff} {
		address := startJavaClass(t, "BinaryServer", e.String()).line(t)
		c := navi.NewClient(outside(t, address), "order", "Orders", navi.In(e))
		t.Cleanup(c.Close)
		var text string
		if err := c.Call(testContext(t), navi.Signature{Name: "join", Types: []string{"java.lang.String", "int"}}, &text, "😀é", 2); err != nil || text != "😀é😀é" {
			t.Errorf("%s: %q, %v", e, text, err)
		}
		var none *order
		if err := c.Call(testContext(t), navi.Signature{Name: "missing", Types: []string{"long"}}, &none, 1); err != nil || none != nil {
			t.Errorf("%s: %v, %v", e, none, err)
		}
		err := c.Call(testContext(t), navi.Signature{Name: "refuse", Types: []string{"java.lang.String"}}, nil, "why not")
		if answered := (*navi.Error)(nil); !errors.As(err, &answered) || answered.Status != navi.Raised || answered.Message != "why not" {
			t.Errorf("%s: %v", e, err)
		}
		if err := c.Call(testContext(t), navi.Signature{Name: "get", Types: []string{"long"}}, &none, 1); err == nil || !strings.Contains(err.Error(), "Orders$Order") {
			t.Errorf("%s: an object of a class: %v", e, err)
		}
	}
}
