package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how the product stands",
		Long: `Shows how the product stands: its session and what that releases, its environments
(online, the preview of an open session, the backup of a committed one) with the
cookie and link that lead there, what is done with visitors, the instances, the
unversioned names, and the routers that are behind. The last line says what to do
next.`,
		Example: `  abt2 status
  abt2 status --json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			product, err := a.productName()
			if err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			s, err := svc.Status(cmd.Context(), product)
			switch {
			case err != nil:
				return err
			case a.json:
				a.out.json(whole(s))
			case a.out.terminal:
				a.statusPage(s)
			default:
				a.statusRows(s)
			}
			return nil
		},
	}
	a.productFlag(c)
	a.jsonFlag(c)
	return c
}

// whole makes empty lists of absent ones: only parts may be null.
func whole(s abt2.Status) abt2.Status {
	s.Instances, s.Names, s.Routers, s.Edges, s.Missing, s.Parked = list(s.Instances), list(s.Names), list(s.Routers), list(s.Edges), list(s.Missing), list(s.Parked)
	if s.Session != nil {
		session := *s.Session
		session.Targets = list(session.Targets)
		s.Session = &session
	}
	for _, e := range []**abt2.EnvironmentStatus{&s.Online, &s.Preview, &s.Backup} {
		if *e != nil && (*e).Modules == nil {
			env := **e
			env.Modules = map[abt2.ModuleName]abt2.VersionID{}
			*e = &env
		}
	}
	return s
}

// environments are those that are there, as they are called.
func environments(s abt2.Status) (roles []abt2.Role, envs []*abt2.EnvironmentStatus) {
	for _, x := range []struct {
		role abt2.Role
		env  *abt2.EnvironmentStatus
	}{{abt2.RoleOnline, s.Online}, {abt2.RolePreview, s.Preview}, {abt2.RoleBackup, s.Backup}} {
		if x.env != nil {
			roles, envs = append(roles, x.role), append(envs, x.env)
		}
	}
	return roles, envs
}

// statusPage is the status for people.
func (a *app) statusPage(s abt2.Status) {
	o := a.out
	o.line("%s: %s", o.paint(loud, string(s.Product)), a.sessionText(s.Session))
	for _, e := range s.Edges {
		o.line("reached at %s", e)
	}
	for _, l := range s.Limits {
		o.line("%s", l)
	}
	if r := s.Running; r != nil {
		o.line("%s", o.paint(wary, fmt.Sprintf("%s by %s is at work, begun %s", runningText(r), r.Operator, o.age(r.Started))))
	}
	if s.Faults {
		o.line("%s", o.paint(wary, "faults are allowed (--allow-faults): a drill may kill and pause what runs"))
	}
	if s.Unsettled {
		o.line("%s", o.paint(wary, "names or jobs have not yet followed the last switch"))
	}
	for _, m := range s.Missing {
		o.line("%s", o.paint(wary, fmt.Sprintf("%s (%s): %d of %d healthy", m.Version, m.Role, m.Healthy, m.Want)))
	}
	a.parkedOnPage(s.Parked)
	if x := s.Session; x != nil && x.Share != 0 {
		o.line("%s", o.paint(wary, fmt.Sprintf("%s of the visitors are served from the preview, all others from online", x.Share)))
	}
	if s.Skew != 0 {
		o.line("skew protection: what a page asks for goes to the environment it came from, for %s and until clean", s.Skew)
	}
	a.environmentsTable(s)
	if s.Session != nil && len(s.Session.Targets) > 0 {
		o.line("")
		o.table("", append([]string{"target"}, planHeader[1:]...), planRows(s.Session.Targets))
	}
	if len(s.Instances) > 0 {
		o.line("")
		o.table("", []string{"instance", "version", "address", "state", "restarts", "detail"}, rowsOf(s.Instances, instanceOnPage))
	}
	if len(s.Names) > 0 {
		o.line("")
		o.table("", []string{"name", "address", "version", "owner"}, rowsOf(s.Names, nameRow))
	}
	a.routersOnPage(s.Routers)
	o.line("")
	a.next("%s", s.Next)
}

// runningText names a verb at work as it was typed.
func runningText(r *abt2.Intent) string {
	if r.Share != 0 {
		return string(r.Verb) + " --share=" + r.Share.String()
	}
	return string(r.Verb)
}

func (a *app) sessionText(s *abt2.SessionStatus) string {
	if s == nil {
		return "no session"
	}
	text := fmt.Sprintf("session %s is %s: %s, opened %s", s.ID, s.State, s.Operator, a.out.age(s.Created))
	if s.Description != "" {
		text += fmt.Sprintf(", %q", s.Description)
	}
	return text
}

// parkedOnPage tells of the sessions that are set aside.
func (a *app) parkedOnPage(parked []abt2.ParkedStatus) {
	for _, p := range parked {
		text := fmt.Sprintf("session %s of %s was parked %s, opened %s", p.ID, p.Operator, a.out.age(p.Changed), a.out.age(p.Created))
		if p.Description != "" {
			text += fmt.Sprintf(", %q", p.Description)
		}
		a.out.line("%s", text)
		if p.Preview != nil {
			a.out.line("  environment %s: %s", p.Preview.ID, p.Preview.Link)
			a.out.line("  cookie: %s", p.Preview.Cookie)
		}
	}
}

// environmentsTable puts the environments side by side: what differs is seen.
func (a *app) environmentsTable(s abt2.Status) {
	roles, envs := environments(s)
	header, modules := []string{"module"}, map[abt2.ModuleName]bool{}
	for i, e := range envs {
		header = append(header, fmt.Sprintf("%s %s", roles[i], e.ID))
		for m := range e.Modules {
			modules[m] = true
		}
	}
	var rows [][]cell
	for _, m := range slices.Sorted(maps.Keys(modules)) {
		row := []cell{word(string(m))}
		for _, e := range envs {
			c := word(e.Modules[m].String())
			if e.Modules[m] != envs[0].Modules[m] {
				c.tone = wary
			}
			row = append(row, c)
		}
		rows = append(rows, row)
	}
	a.out.line("")
	if len(rows) == 0 {
		a.out.line("nothing online yet")
	}
	a.out.table("", header, rows)
	for i, e := range envs {
		if e.Cookie != "" {
			a.out.line("%s cookie: %s", roles[i], e.Cookie)
		}
		if e.Link != "" {
			a.out.line("%s link: %s", roles[i], e.Link)
		}
	}
}

// routersOnPage counts the routers and names those that need a look.
func (a *app) routersOnPage(routers []abt2.RouterStatus) {
	if len(routers) == 0 {
		return
	}
	var odd []abt2.RouterStatus
	for _, r := range routers {
		if !r.Connected || r.Mixed > 0 || r.Restamped > 0 {
			odd = append(odd, r)
		}
	}
	a.out.line("")
	a.out.line("%s, %d of them connected", count(len(routers), "router"), connected(routers))
	a.out.table("", routerHeader, rowsOf(odd, routerRow))
}

func connected(routers []abt2.RouterStatus) (n int) {
	for _, r := range routers {
		if r.Connected {
			n++
		}
	}
	return n
}

// statusRows is the status for programs: the first word of a row says what it is.
func (a *app) statusRows(s abt2.Status) {
	o := a.out
	row := func(words ...cell) { o.table("", nil, [][]cell{words}) }
	row(word("product"), word(string(s.Product)))
	for _, e := range s.Edges {
		row(word("edge"), word(e))
	}
	if x := s.Session; x != nil {
		row(word("session"), word(x.ID.String()), word(string(x.State)), word(x.Operator), o.moment(x.Created), word(x.Description))
		o.table("target", planHeader, planRows(x.Targets))
	}
	if x := s.Session; x != nil && x.Share != 0 {
		row(word("share"), word(x.Share.String()))
	}
	for _, p := range s.Parked {
		cells := []cell{word("parked"), word(p.ID.String()), word(p.Operator), o.moment(p.Created), o.moment(p.Changed), word(p.Description)}
		if p.Preview != nil {
			cells = append(cells, word(p.Preview.ID.String()), word(p.Preview.Cookie), word(p.Preview.Link))
		}
		row(cells...)
	}
	if s.Skew != 0 {
		row(word("skew"), word(s.Skew.String()))
	}
	if r := s.Running; r != nil {
		row(word("running"), word(string(r.Verb)), word(r.Operator), o.moment(r.Started))
	}
	if s.Faults {
		row(word("faults"), word("allowed"))
	}
	if s.Unsettled {
		row(word("unsettled"))
	}
	for _, m := range s.Missing {
		row(word("missing"), word(m.Version.String()), word(string(m.Role)), number(m.Healthy), number(m.Want))
	}
	roles, envs := environments(s)
	for i, e := range envs {
		row(word(string(roles[i])), word(e.ID.String()))
		for _, m := range slices.Sorted(maps.Keys(e.Modules)) {
			row(word(string(roles[i])), word(e.ID.String()), word(string(m)), word(e.Modules[m].String()))
		}
		if e.Cookie != "" {
			row(word("cookie"), word(string(roles[i])), word(e.Cookie))
		}
		if e.Link != "" {
			row(word("link"), word(string(roles[i])), word(e.Link))
		}
	}
	o.table("instance", nil, rowsOf(s.Instances, instanceInRow))
	o.table("name", nil, rowsOf(s.Names, nameRow))
	o.table("router", nil, rowsOf(s.Routers, routerRow))
	a.next("%s", s.Next)
}

func rowsOf[T any](list []T, row func(T) []cell) [][]cell {
	var rows [][]cell
	for _, v := range list {
		rows = append(rows, row(v))
	}
	return rows
}

func instanceOnPage(i abt2.InstanceStatus) []cell {
	if i.External {
		i.Detail = strings.TrimSuffix("external: "+i.Detail, ": ")
	}
	return []cell{word(string(i.ID)), word(i.Version.String()), word(i.Address), stateCell(i.State), number(i.Restarts), {text: i.Detail, short: blank(i.Detail)}}
}

func instanceInRow(i abt2.InstanceStatus) []cell {
	return append([]cell{word(string(i.Module))}, instanceOnPage(i)...)
}

func stateCell(s abt2.InstanceState) cell {
	c := cell{text: string(s), tone: wary}
	switch s {
	case abt2.InstanceHealthy:
		c.tone = good
	case abt2.InstanceUnhealthy, abt2.InstanceBackoff, abt2.InstanceUnreachable:
		c.tone = bad
	}
	return c
}

func nameRow(n abt2.NameStatus) []cell {
	return []cell{word(string(n.Module)), word(n.Address), word(n.Version.String()), word(string(n.Product))}
}

var routerHeader = []string{"router", "role", "version", "connected", "applied", "mixed", "restamped"}

func routerRow(r abt2.RouterStatus) []cell {
	c := cell{text: "yes", tone: good}
	if !r.Connected {
		c = cell{text: "no", tone: bad}
	}
	return []cell{
		word(r.ID), word(r.Role), word(r.Version.String()), c, word(strconv.FormatUint(r.Applied.Revision, 10)), number(r.Mixed), number(r.Restamped),
	}
}
