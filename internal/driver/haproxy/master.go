package haproxy

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"time"

	"abt2.dev"
)

// processes is what the master knows of itself and its workers.
type processes struct {
	master  int
	failed  string   // how many reloads have failed
	current []string // pids of workers that accept connections
	old     []string // pids of those that finish what they have
}

// worker asks the process that serves users.
func (e *Edge) worker() asker { return socket(e.path(workerSocket)).ask }

// process asks any process through the master. One that gives no answer, where
// one is due, is errSilent.
func (e *Edge) process(pid string) asker {
	return func(ctx context.Context, command string) (string, error) {
		if e.silent.lasts(pid, time.Now()) {
			return "", errSilent
		}
		said, err := e.askMaster(ctx, "@!"+pid+" "+command)
		if err == nil {
			e.silent.note(pid, command, said, time.Now())
			if said == "" && speaks(command) {
				err = errSilent
			}
		}
		return said, err
	}
}

// processes asks the master (management guide, section 9.4.1).
func (e *Edge) processes(ctx context.Context) (p processes, err error) {
	said, err := e.askMaster(ctx, "show proc")
	if err != nil {
		return p, err
	}
	old := false
	for line := range strings.Lines(said) {
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "# "):
			old = strings.HasPrefix(line, "# old")
		case len(fields) > 1 && fields[1] == "master":
			p.master, _ = strconv.Atoi(fields[0])
			_, failed, _ := strings.Cut(line, "[failed: ")
			p.failed, _, _ = strings.Cut(failed, "]")
		case len(fields) > 1 && fields[1] == "worker" && old:
			p.old = append(p.old, fields[0])
		case len(fields) > 1 && fields[1] == "worker":
			p.current = append(p.current, fields[0])
		}
	}
	if p.master == 0 {
		return p, abt2.Errorf(abt2.CodeFailed, "HAProxy does not show its processes: %s", firstLine(said))
	}
	return p, nil
}

// lookAgain is the pause between two looks at a process that is starting or
// ending; HAProxy sends no signal of it.
const lookAgain = 5 * time.Millisecond

// poll looks until ok says that it has seen enough.
func poll(ctx context.Context, ok func() (bool, error)) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		if done, err := ok(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// reload starts a worker with the configuration that is installed and returns
// when it serves users. The one before finishes what it has.
func (e *Edge) reload(ctx context.Context, shape string) error {
	before, err := e.processes(ctx)
	if err != nil {
		return err
	}
	// The master may break off: it starts itself anew. What counts is seen below.
	if _, err := socket(e.path(masterSocket)).ask(ctx, "reload"); err != nil && abt2.CodeOf(err) != abt2.CodeUnavailable {
		return err
	}
	return poll(ctx, func() (bool, error) {
		p, err := e.processes(ctx)
		if err != nil {
			return false, quiet(ctx, err)
		}
		if p.failed != before.failed {
			return false, abt2.Errorf(abt2.CodeFailed, "HAProxy does not start with the new configuration: %s", e.lastWords())
		}
		if len(p.current) != 1 || len(before.current) == 1 && p.current[0] == before.current[0] {
			return false, nil
		}
		i, err := e.worker().info(ctx)
		if err != nil {
			return false, quiet(ctx, err)
		}
		return i.pid == p.current[0] && i.description == shape, nil
	})
}

// quiet drops errors of a process that does not answer just now.
func quiet(ctx context.Context, err error) error {
	if ctx.Err() == nil && abt2.CodeOf(err) == abt2.CodeUnavailable {
		return nil
	}
	return err
}

// handOver makes every process that was replaced pass on to the one that serves
// users what its connections still bring: a request whose header was half sent,
// one on a connection that was kept. What is on its way already ends where it
// began. It returns when each has confirmed, and that it accepts no connections,
// ours included, or has ended.
func (e *Edge) handOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var waiting, said string
	err := poll(ctx, func() (bool, error) {
		p, err := e.processes(ctx)
		if err != nil {
			return false, err
		}
		for _, pid := range p.old {
			var done bool
			if done, said, err = e.handsOver(ctx, pid); err != nil {
				return false, err
			} else if !done {
				waiting = pid
				return false, nil // or it has ended in between
			}
		}
		return true, nil
	})
	if err != nil && waiting != "" && ctx.Err() != nil {
		return abt2.Wrap(abt2.CodeUnconfirmed, err, "HAProxy process %s, which was replaced, does not pass on its requests: %s", waiting, firstLine(said))
	}
	return err
}

// handsOver leaves a process nothing in its map but that it hands over. said is
// what it answers where it is not done.
func (e *Edge) handsOver(ctx context.Context, pid string) (done bool, said string, err error) {
	old := e.process(pid)
	only := map[string]string{keyMode: modeHandover}
	refused := func(err error) (bool, string, error) {
		if abt2.CodeOf(err) == abt2.CodeFailed {
			return false, err.Error(), nil // it is busy, or has ended in between
		}
		return false, "", err
	}
	entries, err := old.mapEntries(ctx)
	if err != nil {
		return refused(err)
	}
	if !maps.Equal(entries, only) {
		if err := old.replaceMap(ctx, only); err != nil {
			return refused(err)
		}
		return false, "its map is just changing", nil // it is looked at again
	}
	said, err = old(ctx, "show info")
	return err == nil && strings.Contains(said, "\nStopping: 1\n"), said, err
}
