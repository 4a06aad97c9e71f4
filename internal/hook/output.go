package hook

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
)

// mostOutput bounds, in bytes, what is kept of a hook's output: its end, where
// programs say what went wrong.
const mostOutput = 4 << 10

// output keeps the end of what is written to it. It is used by one goroutine at a time.
type output struct {
	secret string // appears in no String; empty: none
	kept   []byte
	left   int64 // bytes before kept
}

func newOutput(secret string) *output { return &output{secret: secret} }

// Write implements io.Writer; it never fails.
func (o *output) Write(b []byte) (int, error) {
	o.kept = append(o.kept, b...)
	// The secret may lie across the cut: its length more is kept, and not shown.
	if over := len(o.kept) - mostOutput - len(o.secret); over > 0 {
		o.kept = append(o.kept[:0], o.kept[over:]...)
		o.left += int64(over)
	}
	return len(b), nil
}

// String is the output as text that a terminal can show: what is not printable
// is replaced, the secret as well.
func (o *output) String() string {
	b := o.kept
	if o.secret != "" {
		b = bytes.ReplaceAll(b, []byte(o.secret), []byte("(cookie)"))
	}
	note := ""
	if o.left > 0 {
		b = b[min(len(o.secret), len(b)):]
		note = fmt.Sprintf("… (%d bytes before this are left out)\n", o.left+int64(len(o.secret)))
	}
	return note + printable(string(b))
}

// printable replaces each run of what cannot be shown by one U+FFFD.
func printable(s string) string {
	var b strings.Builder
	hidden := false
	for _, r := range strings.ReplaceAll(s, "\r\n", "\n") {
		if r != unicode.ReplacementChar && (r == '\n' || r == '\t' || unicode.IsGraphic(r)) {
			b.WriteRune(r)
			hidden = false
		} else if !hidden {
			b.WriteRune(unicode.ReplacementChar)
			hidden = true
		}
	}
	return b.String()
}
