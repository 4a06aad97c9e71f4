// Package drill is the fire drill: a constant load from outside, switches back
// and forth under it, faults around them, and one report of what users would
// have noticed.
package drill

import (
	"context"
	"strings"

	"abt2.dev"
)

// Drill is one drill of one product. Prepare comes first, then Run, each once.
type Drill struct {
	service abt2.Service
	request abt2.DrillRequest
	hurry   <-chan struct{}
	scene   scene
}

// New returns a drill that has not begun. When hurry closes, the drill does not
// even go back to the environment that it found.
func New(service abt2.Service, r abt2.DrillRequest, hurry <-chan struct{}) *Drill {
	return &Drill{service: service, request: r, hurry: hurry}
}

// Prepare finds out whether the product can be drilled, and changes nothing.
// It returns what a person must agree to first; nothing where the server was
// started to be drilled.
func (d *Drill) Prepare(ctx context.Context) (question string, err error) {
	if err := d.request.Validate(); err != nil {
		return "", err
	}
	if d.scene, err = d.look(ctx); err != nil {
		return "", err
	}
	if len(d.request.Faults) > 0 && !d.scene.faults {
		return "", abt2.Errorf(abt2.CodeRefused, "faults %v: this server makes none; start it with --allow-faults, or leave them out", d.request.Faults)
	}
	if err := d.knock(ctx); err != nil {
		return "", err
	}
	if d.scene.faults {
		return "", nil
	}
	return d.scene.question(d.request), nil
}

// knock asks for everything once: a path that does not answer would only
// measure itself.
func (d *Drill) knock(ctx context.Context) error {
	a := newAsker(d.request, d.scene.edges, nil)
	defer a.close()
	for _, url := range a.targets {
		ctx, cancel := context.WithTimeout(ctx, d.request.Timeout)
		_, err := a.get(ctx, url)
		cancel()
		if err != nil {
			return abt2.Wrap(abt2.CodeRefused, err, "GET %s fails before the drill has begun; name what answers: --path, and --host if the product has hosts", url)
		}
	}
	return nil
}

func join(list []string) string { return strings.Join(list, ", ") }
