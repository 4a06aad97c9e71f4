package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"abt2.dev/examples/demo/stage"
)

// show is what the demo prints, apart from what the commands print themselves.
type show struct {
	w      io.Writer
	colour bool
}

const (
	bold  = "1"
	green = "32"
)

func (s *show) paint(style, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (s *show) welcome() {
	fmt.Fprintf(s.w, `%s
A shop of five modules goes online; then two of them are replaced: looked at in
production behind a cookie, switched to and back again while requests keep
flowing and are counted, and switched to for good.

`, s.paint(bold, "abt2 demo"))
}

func (s *show) title(text string) {
	fmt.Fprintf(s.w, "\n%s\n", s.paint(bold, "── "+text+" ──"))
}

func (s *show) say(format string, args ...any) { fmt.Fprintf(s.w, format+"\n", args...) }

// command prints a command as one would type it.
func (s *show) command(args ...string) {
	var typed []string
	for _, a := range args {
		if key, value, ok := strings.Cut(a, "="); ok && strings.Contains(value, " ") {
			a = key + `="` + value + `"`
		}
		typed = append(typed, a)
	}
	fmt.Fprintln(s.w, s.paint(green, "$ "+strings.Join(typed, " ")))
}

// pages prints two pages side by side.
func (s *show) pages(online, preview *stage.Page) {
	t := tabwriter.NewWriter(s.w, 0, 0, 3, ' ', 0)
	row := func(name string, cell func(*stage.Page) string) {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", name, cell(online), cell(preview))
	}
	fmt.Fprintf(t, "  \twithout the cookie\twith the cookie\n")
	row("catalogue", func(p *stage.Page) string { return p.Season })
	for i, product := range online.Products {
		row(product.Name, func(p *stage.Page) string {
			if i >= len(p.Products) {
				return "–"
			}
			return fmt.Sprintf("%d.%02d", p.Products[i].Cents/100, p.Products[i].Cents%100)
		})
	}
	row("went through", func(p *stage.Page) string {
		var hops []string
		for _, h := range p.Hops {
			hops = append(hops, h.Name())
		}
		return strings.Join(hops, " → ")
	})
	row("environment", func(p *stage.Page) string {
		var ids []string
		for _, h := range p.Hops {
			ids = append(ids, fmt.Sprint(h.Environment))
		}
		return strings.Join(ids, " → ")
	})
	_ = t.Flush() // standard output: nobody to tell
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// goOn says what somebody can do with a server that was left running.
func (s *show) goOn(st *stage.Stage, edge, link string) {
	s.title("It is yours now")
	s.say(`  the shop       %s/
  the preview    %s
  where am I?    %s/.abt2/

In a terminal:
  export PATH=%s:$PATH %s ABT2_OP=mei
  abt2 status
  abt2 commit          # everybody sees autumn
  abt2 rollback        # and summer again
  abt2 clean --yes     # ends the session
  abt2 history

To stop everything:
  %s down --data=%s --yes && rm -r %s`,
		edge, link, edge, filepath.Dir(st.Binary()), strings.Join(st.Env(), " "), st.Binary(), st.Data(), st.Dir)
}
