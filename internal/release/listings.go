package release

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"abt2.dev"
)

// listInstances lets a registry that lists instances follow what was published.
func (e *Engine) listInstances(s *abt2.State, t abt2.Table) {
	if l, ok := e.Registry.(abt2.Lister); ok {
		l.Follow(e.registered(s, t))
	}
}

// awaitListed looks for a moment whether a registry that lists instances shows
// them all. What it returns is a warning: the registry goes on by itself.
func (e *Engine) awaitListed(ctx context.Context) []string {
	l, ok := e.Registry.(abt2.Lister)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		s, err := e.Store.State(ctx)
		var got abt2.Names
		if err == nil {
			got, err = l.Read(ctx)
		}
		if err == nil {
			missing := unlisted(desiredListings(s, e.desired().Table), got.Listings)
			if len(missing) == 0 {
				return nil
			}
			err = fmt.Errorf("%s not seen there", strings.Join(missing, ", "))
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return []string{fmt.Sprintf("not all instances are listed in the registry yet: %v; look: abt2 validate --registry", err)}
		}
	}
}

// registered is what the registry should hold under the table's mark.
func (e *Engine) registered(s *abt2.State, t abt2.Table) abt2.Names {
	out := abt2.Names{Mark: t.Mark, Names: desiredNames(s)}
	if _, ok := e.Registry.(abt2.Lister); ok {
		out.Listings = desiredListings(s, t)
	}
	return out
}

// desiredListings is where the instances of services should be listed: every
// version at its own place, and at the unversioned one the version that the
// name's owner has online.
func desiredListings(s *abt2.State, t abt2.Table) []abt2.Listing {
	var out []abt2.Listing
	for _, v := range t.Versions {
		ver := s.Versions[v.ID]
		if v.Kind != abt2.KindService || ver == nil {
			continue // of an epoch before, or gone in between: the next table lacks it
		}
		owner := ownerOf(s, ver)
		l := abt2.Listing{
			Module: v.ID.Module, Name: ver.Config.ServiceName(owner, v.ID.Module), Version: v.ID,
			External: v.External, Instances: v.Instances,
		}
		out = append(out, l)
		if standsUnversioned(t, owner, v.ID) {
			l.Unversioned, l.Withdraw = true, givenToOthers(s, v)
			out = append(out, l)
		}
	}
	return out
}

// ownerOf is the product whose online version stands at the unversioned name.
func ownerOf(s *abt2.State, v *abt2.Version) abt2.ProductName {
	if m := s.Modules[v.ID.Module]; m != nil && m.Owner != "" {
		return m.Owner
	}
	if v.Config.Compat != "" {
		return v.Config.Compat
	}
	for _, e := range s.Live() { // never released: the first that names it will own it
		if e.Modules[v.ID.Module] == v.ID {
			return e.Product
		}
	}
	return abt2.DefaultProduct
}

func standsUnversioned(t abt2.Table, owner abt2.ProductName, v abt2.VersionID) bool {
	for _, p := range t.Products {
		for _, e := range t.Environments {
			if p.Name == owner && e.ID == p.Online && slices.Contains(e.Modules, v) {
				return true
			}
		}
	}
	return false
}

// givenToOthers lists the addresses that operators have given to other versions
// of the module.
func givenToOthers(s *abt2.State, standing abt2.TableVersion) []string {
	var out []string
	for _, v := range sortedVersions(s.Versions) {
		if v.Module != standing.ID.Module || v == standing.ID {
			continue
		}
		for _, a := range s.Versions[v].Config.External {
			stays := slices.ContainsFunc(standing.Instances, func(i abt2.TableInstance) bool { return i.Address == a }) ||
				slices.Contains(s.Versions[standing.ID].Config.External, a)
			if !stays && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}

// lookLimit bounds how long a switch waits to learn what stands in a registry.
const lookLimit = 5 * time.Second

// checkStrangers refuses a switch after which the old and the new of a service
// would be listed together, because somebody has registered there what belongs
// to no version.
func (e *Engine) checkStrangers(ctx context.Context, s *abt2.State, product abt2.ProductName, to abt2.EnvironmentID, operator string) error {
	lister, ok := e.Registry.(abt2.Lister)
	target := s.Environments[to]
	if !ok || target == nil {
		return nil
	}
	online := s.Online(s.Products[product])
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	for _, m := range target.ModuleNames() {
		v := s.Versions[target.Modules[m]]
		if v == nil || v.Config.Kind != abt2.KindService || online.Modules[m] == v.ID || ownerOf(s, v) != product {
			continue
		}
		name := v.Config.ServiceName(product, m)
		listed, err := lister.Listed(ctx, name)
		if err != nil {
			return abt2.Wrap(abt2.CodeOf(err), err, "nothing has changed: who is listed as %s is not known", name)
		}
		if strange := strangers(s, m, listed); len(strange) > 0 {
			return abt2.Errorf(abt2.CodeRefused, "nothing has changed: as %s are listed, too, and would be beside %s: %s; give them to a version: abt2 config put --op=%s --name=%s --external=registry; or end them",
				name, v.ID, joined(strange), operator, m)
		}
	}
	return nil
}

// strangers are the registrations that are neither ours nor of any version.
func strangers(s *abt2.State, m abt2.ModuleName, listed []abt2.Registration) []abt2.Registration {
	given := map[string]bool{}
	for id, v := range s.Versions {
		for _, a := range v.Config.External {
			given[a] = given[a] || id.Module == m
		}
	}
	return slices.DeleteFunc(slices.Clone(listed), func(r abt2.Registration) bool { return r.Instance != "" || r.Junk || given[r.Address] })
}

func joined(list []abt2.Registration) string {
	var out []string
	for _, r := range list {
		out = append(out, r.String())
	}
	return strings.Join(out, ", ")
}

// resolveRegistry puts addresses in the place of the word registry: those that
// stand at the service's unversioned place and are not ours. layers are the
// put's own.
func (e *Engine) resolveRegistry(ctx context.Context, s *abt2.State, product abt2.ProductName, m abt2.ModuleName, layers []abt2.ConfigPatch, last *abt2.Version) error {
	at := slices.IndexFunc(layers, func(l abt2.ConfigPatch) bool { return l.External != nil })
	if at < 0 || !layers[at].External.FromRegistry() {
		return nil
	}
	lister, ok := e.Registry.(abt2.Lister)
	if !ok {
		return abt2.Errorf(abt2.CodeInvalid, "%s: external %q: this server's registry lists no instances; start it with --registry=navi, or give addresses", m, abt2.ExternalRegistry)
	}
	var config abt2.Config
	if last != nil {
		config = last.Config
	}
	for _, l := range slices.Backward(layers) {
		if l.Navi != nil {
			config.Navi = *l.Navi
		}
		if l.Compat != nil {
			config.Compat = *l.Compat
		}
	}
	owner := product
	if mod := s.Modules[m]; mod != nil && mod.Owner != "" {
		owner = mod.Owner
	} else if config.Compat != "" {
		owner = config.Compat
	}
	name := config.ServiceName(owner, m)
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	listed, err := lister.Listed(ctx, name)
	if err != nil {
		return abt2.Wrap(abt2.CodeOf(err), err, "%s: external %q: who is listed as %s is not known", m, abt2.ExternalRegistry, name)
	}
	var found abt2.External
	for _, r := range listed {
		if r.Instance == "" && !r.Junk {
			found = append(found, r.Address)
		}
	}
	if len(found) == 0 {
		return abt2.Errorf(abt2.CodeNotFound, "%s: external %q: nobody but abt2 is listed as %s; set navi in module.yaml if it has another name", m, abt2.ExternalRegistry, name)
	}
	layers[at].External = found
	return nil
}

// checkListing refuses a service whose place in the registry is another's.
func (e *Engine) checkListing(s *abt2.State, product abt2.ProductName, puts []abt2.Put) error {
	if _, ok := e.Registry.(abt2.Lister); !ok {
		return nil
	}
	taken := map[abt2.ServiceName]abt2.ModuleName{}
	known := s.InUse()
	if sess := s.Session(product); sess != nil {
		for _, t := range sess.Targets {
			if s.Versions[t.Put] != nil {
				known[t.Put] = true
			}
		}
	}
	for _, v := range sortedVersions(known) {
		if ver := s.Versions[v]; ver.Config.Kind == abt2.KindService {
			taken[ver.Config.ServiceName(ownerOf(s, ver), v.Module)] = v.Module
		}
	}
	for _, p := range puts {
		if p.Config.Kind != abt2.KindService {
			continue
		}
		owner := product
		if m := s.Modules[p.Module]; m != nil && m.Owner != "" {
			owner = m.Owner
		} else if p.Config.Compat != "" {
			owner = p.Config.Compat
		}
		name := p.Config.ServiceName(owner, p.Module)
		if other, found := taken[name]; found && other != p.Module {
			return abt2.Errorf(abt2.CodeInvalid, "%s: navi %q: module %s is listed under that name; set another in module.yaml", p.Module, name, other)
		}
		taken[name] = p.Module
	}
	return nil
}

// listed compares what should be listed with got, looking again for a moment
// where they differ: the registry may be at work.
func (e *Engine) listed(ctx context.Context, r abt2.Lister, s *abt2.State, got abt2.Names) []abt2.Difference {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		out := listingDifferences(desiredListings(s, e.desired().Table), got.Listings)
		if len(out) == 0 {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return out
		}
		if next, err := r.Read(ctx); err == nil {
			got = next
		}
	}
}

// listingDifferences compares what should be listed with what is.
func listingDifferences(want, got []abt2.Listing) []abt2.Difference {
	var out []abt2.Difference
	add := func(l abt2.Listing, should, is, remedy string) {
		object := l.Name.String()
		if !l.Unversioned && !l.Version.IsZero() {
			object += " " + l.Version.String()
		}
		out = append(out, abt2.Difference{Part: "registry", Object: object, Should: should, Is: is, Remedy: remedy})
	}
	for _, w := range want {
		have := listingAt(got, w)
		if missing := without(w.Instances, have.Instances); len(missing) > 0 {
			add(w, fmt.Sprintf("%d listed", len(w.Instances)), "not there: "+strings.Join(missing, ", "), "abt2 refresh")
		}
		if extra := without(have.Instances, w.Instances); len(extra) > 0 {
			if w.Unversioned && len(w.Instances) == 0 {
				add(w, "healthy instances", "none; left there for lack of better: "+strings.Join(extra, ", "), "look: abt2 validate --platform")
				continue
			}
			add(w, "absent", strings.Join(extra, ", "), "abt2 refresh")
		}
		for _, o := range have.Others {
			if o.Instance != "" {
				add(w, "as abt2 has written it", o.String(), "abt2 refresh")
				continue
			}
			add(w, strayShould, o.String(), "give it to a version: abt2 config put --external=registry; or end it")
		}
	}
	for _, g := range got {
		if !slices.ContainsFunc(want, func(w abt2.Listing) bool { return samePlace(g, w) }) {
			add(g, "absent", strings.Join(without(g.Instances, nil), ", "), "abt2 refresh")
		}
	}
	return out
}

func samePlace(a, b abt2.Listing) bool {
	return a.Name == b.Name && a.Version == b.Version && a.Unversioned == b.Unversioned
}

// listingAt is the listing of the same place, empty where there is none.
func listingAt(list []abt2.Listing, l abt2.Listing) abt2.Listing {
	if i := slices.IndexFunc(list, func(x abt2.Listing) bool { return samePlace(x, l) }); i >= 0 {
		return list[i]
	}
	return abt2.Listing{}
}

// unlisted names the instances that should be listed somewhere and are not.
func unlisted(want, got []abt2.Listing) []string {
	var out []string
	for _, w := range want {
		for _, i := range without(w.Instances, listingAt(got, w).Instances) {
			if !slices.Contains(out, i) {
				out = append(out, i)
			}
		}
	}
	return out
}

// ofStranger reports whether a difference is that somebody else is listed beside
// ours. It needs a session to be mended, and commit asks about them again.
func ofStranger(d abt2.Difference) bool { return d.Part == "registry" && d.Should == strayShould }

// without lists what is in a and not in b, for people.
func without(a, b []abt2.TableInstance) []string {
	var out []string
	for _, i := range a {
		if !slices.Contains(b, i) {
			out = append(out, fmt.Sprintf("%s (%s)", i.Address, i.ID))
		}
	}
	return out
}

// forcible reports whether a switch may go on all the same when it is forced:
// that nobody answers is a reason to wait, not one to refuse.
func forcible(err error) bool {
	return abt2.CodeOf(err) == abt2.CodeUnavailable
}
