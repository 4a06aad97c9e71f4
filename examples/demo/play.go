package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"abt2.dev"
	"abt2.dev/examples/demo/load"
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

// traffic switches, switches back and switches again while requests flow.
func (p *play) traffic(ctx context.Context) error {
	s, err := p.status(ctx)
	if err != nil {
		return err
	}
	plan, between, err := p.plan(s)
	if err != nil {
		return err
	}
	p.out.title(fmt.Sprintf("Everybody is switched over, under %d requests a second", plan.Rate))
	l := load.Start(ctx, plan)
	switches, err := p.switches(ctx, l, between)
	result := l.Stop()
	if err != nil {
		return err
	}
	p.out.title("What was measured")
	p.out.measured(plan.Rate, result, switches)
	if result.Failed+result.Mixed > 0 {
		return fmt.Errorf("%d requests failed, %d were mixed; there should be none", result.Failed, result.Mixed)
	}
	return nil
}

// plan is the load, and how many requests to await between two verbs.
func (p *play) plan(s *abt2.Status) (plan load.Plan, between int, err error) {
	order := ""
	for _, n := range s.Names {
		if n.Module == "order" {
			order = n.Address
		}
	}
	if order == "" {
		return plan, 0, errors.New("status names no unversioned address of order")
	}
	page := load.Target{Name: "page", URL: p.edge + "/json"}
	plan = load.Plan{
		Rate: 600, Workers: 64, Timeout: 10 * time.Second,
		Client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		Targets: []load.Target{
			page,
			{Name: "api", URL: p.edge + "/api/products"},
			page,
			{Name: "unversioned order", URL: "http://" + order + "/products"},
		},
		Judge: load.Judge(s.Online, s.Preview),
	}
	if p.short {
		plan.Rate = 200
	}
	return plan, plan.Rate, nil
}

func (p *play) switches(ctx context.Context, l *load.Load, between int) (times []time.Duration, err error) {
	for _, verb := range []string{"commit", "rollback", "commit"} {
		if err := l.Await(ctx, between); err != nil {
			return nil, err
		}
		args := []string{verb, op, "--json"}
		p.out.command(append([]string{"abt2"}, args...)...)
		b, err := p.Ask(ctx, args...)
		if err != nil {
			return nil, err
		}
		var o abt2.Outcome
		if err := json.Unmarshal(bytes.TrimSpace(b), &o); err != nil {
			return nil, fmt.Errorf("abt2 %s --json printed %q: %w", verb, b, err)
		}
		p.out.say("switched %d → %d in %s: edges %d, routers %d confirmed", o.From, o.To, ms(o.Switched), o.Edges, o.Routers)
		times = append(times, o.Switched)
	}
	if err := l.Await(ctx, between); err != nil {
		return nil, err
	}
	if err := p.abt2(ctx, "clean", op, "--yes"); err != nil {
		return nil, err
	}
	return times, l.Await(ctx, between)
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
