package cli

import (
	"context"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) nameCommand() *cobra.Command {
	return family(&cobra.Command{
		Use:   "name",
		Short: "Look names up, and name groups of modules",
		Long: `Looks up where modules answer: every module has a name that leads to the instances
of its online version, and a group is a name for several modules at once. The same
over HTTP and DNS is told in docs/naming.md.`,
		Example: `  abt2 name get order
  abt2 name group create checkout order stock --op=lihua`,
	}, a.nameGetCommand(), a.nameGroupCommand())
}

// nameColumns are what to print of each instance.
type nameColumns struct{ ip, port, state, all bool }

func (a *app) nameGetCommand() *cobra.Command {
	var show nameColumns
	var watch bool
	c := &cobra.Command{
		Use:   "get MODULE[@VERSION]|GROUP",
		Short: "Show which instances stand under a name",
		Long: `Shows the instances that stand under a name, a line each: of a module those of the
version that is online in the product, or of the version that is named; of a group
those of all its modules.

Without -s and -a these are the ones to call: healthy and known to all routers. With
one of them it is everything that runs, and the column state tells.

-a shows id, version, ip, port, state, tag and load. A tag is the role of an
environment that names the version: online, preview or backup. Load is how many
requests and calls the instance is at work on, by its own report of the last
seconds; one without the SDK reports none.`,
		Example: `  abt2 name get order
  abt2 name get order@4 -i -p
  abt2 name get checkout -a
  abt2 name get order --watch --json`,
		Args: exactly(1, "one name: MODULE, MODULE@VERSION or GROUP, like order or order@4"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var r abt2.LookupRequest
			var err error
			if r.Product, err = a.productName(); err != nil {
				return err
			}
			if r.Name, r.Number, err = abt2.ParseLookup(args[0]); err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			if watch {
				return a.watchName(cmd.Context(), svc, r, show)
			}
			l, err := svc.Lookup(cmd.Context(), r)
			if err == nil {
				a.lookup(l, show)
			}
			return err
		},
	}
	a.productFlag(c)
	a.jsonFlag(c)
	f := c.Flags()
	f.BoolVarP(&show.ip, "ip", "i", false, "show the IP address, or host name")
	f.BoolVarP(&show.port, "port", "p", false, "show the port")
	f.BoolVarP(&show.state, "state", "s", false, "show the state, and those that are not to be called, too")
	f.BoolVarP(&show.all, "all", "a", false, "show everything that is known, and those that are not to be called, too")
	f.BoolVar(&watch, "watch", false, "go on until Ctrl-C: show all again whenever something changes")
	return c
}

// watchName shows what stands under the name, and again when that has changed.
func (a *app) watchName(ctx context.Context, svc abt2.Service, r abt2.LookupRequest, show nameColumns) error {
	r.Wait = abt2.MaxLookupWait
	for {
		l, err := svc.Lookup(ctx, r)
		switch {
		case ctx.Err() != nil:
			return nil // Ctrl-C is how watching ends
		case err != nil:
			return err
		case l.Digest == r.Seen:
			continue
		case r.Seen != "" && !a.json:
			a.out.line("") // between one answer and the next
		}
		a.lookup(l, show)
		if a.out.failed != nil {
			return nil // nobody reads; the exit status says so
		}
		r.Seen = l.Digest
	}
}

func (a *app) lookup(l abt2.Lookup, show nameColumns) {
	if a.json {
		l.Versions, l.Instances = list(l.Versions), list(l.Instances)
		a.out.json(l)
		return
	}
	var rows [][]cell
	for _, i := range l.Instances {
		if i.Callable || show.state || show.all {
			rows = append(rows, show.row(i))
		}
	}
	switch {
	case len(l.Versions) == 0:
		a.err.line("%s is not online in %s", l.Name, l.Product)
	case len(rows) == 0:
		a.err.line("nothing to call under %s now", l.Name)
	}
	a.out.table("", show.header(), rows)
}

func (c nameColumns) header() []string {
	switch {
	case c.all:
		return []string{"id", "version", "ip", "port", "state", "tag", "load"}
	case !c.ip && !c.port:
		return c.withState("address")
	case !c.port:
		return c.withState("ip")
	case !c.ip:
		return c.withState("port")
	}
	return c.withState("ip", "port")
}

func (c nameColumns) withState(columns ...string) []string {
	if c.state {
		columns = append(columns, "state")
	}
	return columns
}

func (c nameColumns) row(i abt2.NamedInstance) []cell {
	host, port, err := net.SplitHostPort(i.Address)
	if err != nil { // a job's: it has none
		host, port = "", ""
	}
	var tags []string
	for _, t := range i.Tags {
		tags = append(tags, string(t))
	}
	load := ""
	if i.Load != nil {
		load = strconv.Itoa(*i.Load)
	}
	all := map[string]cell{
		"id": word(string(i.ID)), "version": word(i.Version.String()), "address": word(i.Address), "ip": word(host), "port": word(port),
		"state": stateCell(i.State), "tag": word(strings.Join(tags, ",")), "load": word(load),
	}
	var out []cell
	for _, h := range c.header() {
		out = append(out, all[h])
	}
	return out
}
