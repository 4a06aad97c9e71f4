package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"abt2.dev"
	"abt2.dev/examples/demo/stage"
)

// play is the demo's course. Its acts run one after the other.
type play struct {
	*stage.Stage
	options
	out *show

	spring, summer string // release.yaml
	edge           string // base of its URLs
}

const op = "--op=mei"

// abt2 shows a command and runs it.
func (p *play) abt2(ctx context.Context, args ...string) error {
	p.out.command(append([]string{"abt2"}, args...)...)
	if err := p.Abt2(ctx, p.out.w, p.out.w, args...); err != nil {
		return fmt.Errorf("abt2 %s: %w", args[0], err)
	}
	return nil
}

// answer shows a command and its answer, without its progress.
func (p *play) answer(ctx context.Context, args ...string) error {
	p.out.command(append([]string{"abt2"}, args...)...)
	out, err := p.Ask(ctx, args...)
	if err != nil {
		return err
	}
	p.out.say("%s", bytes.TrimSpace(out))
	return nil
}

// all runs commands until one fails.
func (p *play) all(ctx context.Context, commands ...[]string) error {
	for _, c := range commands {
		if err := p.abt2(ctx, c...); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) status(ctx context.Context) (*abt2.Status, error) {
	b, err := p.Ask(ctx, "status", "--json")
	if err != nil {
		return nil, err
	}
	var s abt2.Status
	return &s, json.Unmarshal(b, &s)
}

// prepare builds two releases of the shop and starts the server.
func (p *play) prepare(ctx context.Context) (err error) {
	p.out.say("Building the shop, and two of its modules a second time …")
	p.spring, err = p.Release(ctx, "spring",
		stage.Build{Module: "web"}, stage.Build{Module: "api"}, stage.Build{Module: "order"},
		stage.Build{Module: "stock"}, stage.Build{Module: "report"})
	if err != nil {
		return err
	}
	p.summer, err = p.Release(ctx, "summer",
		stage.Build{Module: "web", Vars: map[string]string{"season": "summer", "colour": "#c2571a"}},
		stage.Build{Module: "order", Vars: map[string]string{"discount": "20"}})
	if err != nil {
		return err
	}
	p.out.title("A server, and its edge")
	p.out.command("abt2", "server", "--data=data", "--listen=127.0.0.1:0", "--edge-listen=127.0.0.1:0", "--allow-root", "&")
	line, took, err := p.Start(ctx)
	if err != nil {
		return err
	}
	p.out.say("%s\n(in %s)", line, ms(took))
	return nil
}

// open puts the shop online.
func (p *play) open(ctx context.Context) error {
	p.out.title("The shop goes online")
	err := p.all(ctx,
		[]string{"start", "create", op, "--desp=the shop opens"},
		[]string{"config", "put", op, "--from=" + p.spring, "--init=true"},
		[]string{"ship", "all", op},
		[]string{"commit", op},
		[]string{"clean", op, "--yes"})
	if err != nil {
		return err
	}
	s, err := p.status(ctx)
	if err != nil {
		return err
	}
	if len(s.Edges) == 0 {
		return errors.New("status names no edge")
	}
	p.edge = s.Edges[0]
	return nil
}

// preview ships new builds of two modules and looks at them beside what users see.
func (p *play) preview(ctx context.Context) error {
	p.out.title("Two modules are replaced, for those with a cookie")
	err := p.all(ctx,
		[]string{"start", "create", op, "--desp=summer catalogue"},
		[]string{"config", "put", op, "--from=" + p.summer},
		[]string{"ship", op},
		[]string{"ship", "all", op})
	if err != nil {
		return err
	}
	s, err := p.status(ctx)
	if err != nil {
		return err
	}
	p.out.title("The same page, at the same moment")
	online, err := p.Page(ctx, p.edge, "")
	if err != nil {
		return err
	}
	preview, err := p.Page(ctx, p.edge, s.Preview.Cookie)
	if err != nil {
		return err
	}
	p.out.pages(online, preview)
	if online.Season == preview.Season {
		return errors.New("the cookie made no difference")
	}
	return nil
}

// traffic switches to and fro while requests flow, and then for good.
func (p *play) traffic(ctx context.Context) error {
	s, err := p.status(ctx)
	if err != nil {
		return err
	}
	order := ""
	for _, n := range s.Names {
		if n.Module == "order" {
			order = n.Address
		}
	}
	if order == "" {
		return errors.New("status names no unversioned address of order")
	}
	rate, duration := 600, "6s"
	if p.short {
		rate, duration = 200, "3s"
	}
	p.out.title(fmt.Sprintf("To the summer and back, twice, under %d requests a second", rate))
	err = p.abt2(ctx, "drill", op, fmt.Sprintf("--rate=%d", rate), "--duration="+duration, "--switches=4",
		"--path=/json", "--path=/api/products", "--url=http://"+order+"/products", "--yes")
	if err != nil {
		return err
	}
	p.out.title("Everybody is switched over")
	if err := p.answer(ctx, "commit", op); err != nil {
		return err
	}
	return p.answer(ctx, "clean", op, "--yes")
}

// finale leaves everything running with one more preview, if that was asked for.
func (p *play) finale(ctx context.Context) error {
	if !p.keep {
		p.out.say("\nEverything is stopped now. To go on by yourself: make demo KEEP=1")
		return nil
	}
	p.out.title("One more preview, for you")
	autumn, err := p.Release(ctx, "autumn", stage.Build{Module: "web", Vars: map[string]string{"season": "autumn", "colour": "#7a3b69"}})
	if err != nil {
		return err
	}
	err = p.all(ctx,
		[]string{"start", "create", op, "--desp=autumn catalogue"},
		[]string{"config", "put", op, "--from=" + autumn},
		[]string{"ship", "all", op})
	if err != nil {
		return err
	}
	s, err := p.status(ctx)
	if err != nil {
		return err
	}
	p.out.goOn(p.Stage, p.edge, s.Preview.Link)
	return nil
}
