package cli

import (
	"fmt"
	"strings"
)

// bar shows on a terminal how far something is.
type bar struct {
	a     *app
	name  string
	of    string // what the whole is, for people
	total int64
	done  int64
	shown int // percent; drawn when it grows
}

// draw shows that so much is done.
func (b *bar) draw(done int64) {
	b.done = done
	percent := int(100 * b.done / max(b.total, 1))
	if !b.a.err.terminal || percent <= b.shown {
		return
	}
	b.shown = percent
	const width = 30
	full := width * min(percent, 100) / 100
	fmt.Fprintf(b.a.err, "\r\x1b[K%s [%s%s] %3d %% of %s", b.name, strings.Repeat("=", full), strings.Repeat(" ", width-full), percent, b.of)
}

// clear takes the bar away; it is drawn again when it grows.
func (b *bar) clear() {
	if b.shown > 0 {
		fmt.Fprint(b.a.err, "\r\x1b[K")
	}
}
