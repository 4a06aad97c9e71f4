package release

import (
	"context"
	"time"

	"abt2.dev"
)

// centreName is what the config centre is called among those who confirm.
const centreName = "config centre"

// centreLimit bounds the wait for processes to follow before they are compared.
// They do within milliseconds or not by themselves; one that hangs should
// still be there to be named.
const centreLimit = time.Second

// centreDifferences asks the config centre what is in effect where.
func (e *Engine) centreDifferences(ctx context.Context) []abt2.Difference {
	if e.Centre == nil {
		return nil
	}
	want := e.desired().Table
	wait, cancel := context.WithTimeout(ctx, centreLimit)
	defer cancel()
	// What was published a moment ago may still be on its way.
	for _, s := range e.syncers {
		if s.name == centreName {
			_ = e.await(wait, func() bool { ok, _ := s.confirmed(want.Mark); return ok })
		}
	}
	ask, cancelAsk := context.WithTimeout(ctx, readLimit)
	defer cancelAsk()
	out, err := e.Centre.Compare(ask, want)
	if err != nil {
		out = append(out, abt2.Difference{Object: centreName, Should: "answers", Is: err.Error(), Remedy: "abt2 refresh"})
	}
	for i := range out {
		out[i].Part = "config-centre"
	}
	return out
}
