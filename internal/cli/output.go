package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"
)

// printer writes for people on a terminal, for programs in a pipe. It remembers
// the first failure to write.
type printer struct {
	w        io.Writer
	terminal bool
	colour   bool
	now      func() time.Time
	failed   error
}

func newPrinter(env Env, w io.Writer) *printer {
	terminal := env.IsTerminal(w)
	// NO_COLOR: https://no-color.org
	colour := terminal && env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb"
	return &printer{w: w, terminal: terminal, colour: colour, now: env.Now}
}

func (p *printer) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if err != nil && p.failed == nil {
		p.failed = err
	}
	return n, err
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(p, format+"\n", args...)
}

func (p *printer) json(v any) {
	enc := json.NewEncoder(p)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil && p.failed == nil {
		p.failed = err
	}
}

// tone is how a word is meant; a terminal shows it as a colour.
type tone string

const (
	plain tone = ""
	good  tone = "32"
	wary  tone = "33"
	bad   tone = "31"
	faint tone = "2"
	loud  tone = "1"
)

// cell is a word of a table. A terminal shows short where it is set.
type cell struct {
	text  string
	short string
	tone  tone
}

func word(s string) cell { return cell{text: s} }

func (p *printer) paint(t tone, s string) string {
	if !p.colour || t == plain || s == "" {
		return s
	}
	return "\x1b[" + string(t) + "m" + s + "\x1b[0m"
}

// table prints rows: aligned under the header on a terminal, separated by tabs
// and without the header in a pipe, where each row begins with the mark, if any.
func (p *printer) table(mark string, header []string, rows [][]cell) {
	if !p.terminal {
		for _, row := range rows {
			var words []string
			if mark != "" {
				words = append(words, mark)
			}
			for _, c := range row {
				words = append(words, oneWord.Replace(c.text))
			}
			p.line("%s", strings.Join(words, "\t"))
		}
		return
	}
	if len(rows) == 0 {
		return
	}
	head := make([]cell, len(header))
	for i, h := range header {
		head[i] = cell{text: strings.ToUpper(h), tone: loud}
	}
	all := append([][]cell{head}, rows...)
	widths := make([]int, len(header))
	for _, row := range all {
		for i, c := range row {
			widths[i] = max(widths[i], columns(c.shown()))
		}
	}
	for _, row := range all {
		var b strings.Builder
		for i, c := range row {
			s := c.shown()
			b.WriteString(p.paint(c.tone, s))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-columns(s)+2))
			}
		}
		p.line("%s", strings.TrimRight(b.String(), " "))
	}
}

// columns is how wide a terminal shows s.
func columns(s string) (n int) {
	for _, r := range s {
		n++
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			n++
		}
	}
	return n
}

var oneWord = strings.NewReplacer("\t", " ", "\n", " ", "\r", " ")

// tame makes what a program has printed harmless to a terminal.
func tame(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

func (c cell) shown() string {
	switch {
	case c.short != "":
		return c.short
	case c.text == "":
		return "-"
	}
	return tame(oneWord.Replace(c.text))
}

// size is a number of bytes.
func size(n int64) cell {
	return cell{text: strconv.FormatInt(n, 10), short: bytesText(n)}
}

func bytesText(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v, i := float64(n), 0
	for v >= 1000 && i < len(units)-1 {
		v, i = v/1000, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// digest is a sha256; its beginning is enough for people.
func digest(s string) cell {
	return cell{text: s, short: s[:min(12, len(s))]}
}

func number[N ~int | ~uint64](n N) cell { return word(fmt.Sprint(uint64(n))) }

// moment is a point in time, in the zone of the terminal's owner.
func (p *printer) moment(t time.Time) cell {
	if t.IsZero() {
		return cell{}
	}
	return cell{text: t.UTC().Format(time.RFC3339), short: t.In(p.now().Location()).Format("2006-01-02 15:04:05")}
}

// age tells how long ago something was.
func (p *printer) age(t time.Time) string {
	d := max(p.now().Sub(t), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d d ago", int(d.Hours()/24))
}

// took writes a duration with as many digits as matter.
func took(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
