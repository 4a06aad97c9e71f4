package route

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"abt2.dev/lane/feedpb"
)

// build makes a Snapshot of a table, taking instances that are already known
// from have. It returns the instances of the new table.
func build(t *feedpb.Table, have map[string]*Instance) (*Snapshot, map[string]*Instance, error) {
	b := builder{
		Snapshot: &Snapshot{
			mark:         MarkOf(t.GetMark()),
			highest:      t.GetHighestEnvironment(),
			products:     make(map[string]*Product, len(t.GetProducts())),
			hosts:        map[string]*Product{},
			environments: newEnvironments(t.GetEnvironments()),
			instances:    map[string][]*Instance{},
		},
		have:     have,
		byID:     map[string]*Instance{},
		versions: make(map[string]*Version, len(t.GetVersions())),
	}
	for _, p := range t.GetProducts() {
		b.products[p.GetName()] = &Product{Name: p.GetName(), Hosts: slices.Clone(p.GetHosts())}
	}
	for _, v := range t.GetVersions() {
		b.version(v)
	}
	for _, e := range t.GetEnvironments() {
		if err := b.environment(e); err != nil {
			return nil, nil, err
		}
	}
	for _, p := range t.GetProducts() {
		if err := b.product(p); err != nil {
			return nil, nil, err
		}
	}
	for _, n := range t.GetNames() {
		b.names = append(b.names, Name{Module: n.GetModule(), Product: b.products[n.GetProduct()], Address: n.GetAddress()})
	}
	return b.Snapshot, b.byID, nil
}

type builder struct {
	*Snapshot
	have, byID map[string]*Instance
	versions   map[string]*Version
}

func (b *builder) version(v *feedpb.Version) {
	module, _, _ := strings.Cut(v.GetId(), "@")
	out := &Version{ID: v.GetId(), Module: module, Kind: v.GetKind(), Prefix: v.GetPrefix(), Fallback: v.GetFallback()}
	for _, i := range v.GetInstances() {
		in := b.have[i.GetId()]
		if in == nil || in.Address != i.GetAddress() || in.Version != out.ID {
			in = newInstance(out.ID, i.GetId(), i.GetAddress(), v.GetExternal())
		}
		b.byID[in.ID] = in
		out.Instances = append(out.Instances, in)
	}
	b.instances[module] = append(b.instances[module], out.Instances...)
	b.versions[out.ID] = out
}

func (b *builder) environment(e *feedpb.Environment) error {
	id := strconv.FormatUint(e.GetId(), 10)
	out := &Environment{
		ID:        e.GetId(),
		Product:   b.products[e.GetProduct()],
		Role:      RoleRetired,
		WasOnline: e.GetWasOnline(),
		Header:    []string{id},
		Baggage:   []string{"abt2.env=" + id},
		versions:  make(map[string]*Version, len(e.GetVersions())),
	}
	if out.ID == 0 {
		return errors.New("an environment has id 0, which is none")
	}
	if out.Product == nil {
		return fmt.Errorf("environment %d belongs to product %q, which the table lacks", out.ID, e.GetProduct())
	}
	for _, id := range e.GetVersions() {
		v := b.versions[id]
		if v == nil {
			return fmt.Errorf("environment %d names %s, which the table lacks", out.ID, id)
		}
		if had := out.versions[v.Module]; had != nil {
			return fmt.Errorf("environment %d names both %s and %s", out.ID, had.ID, id)
		}
		out.versions[v.Module] = v
		if v.Prefix != "" {
			out.prefixes = append(out.prefixes, v)
		}
	}
	slices.SortFunc(out.prefixes, func(a, b *Version) int { return cmp.Compare(len(b.Prefix), len(a.Prefix)) })
	b.environments.set(out)
	return nil
}

func (b *builder) product(p *feedpb.Product) error {
	out := b.products[p.GetName()]
	for _, h := range out.Hosts {
		b.hosts[canonicalHost(h)] = out
	}
	out.Parked = make([]*Environment, len(p.GetParked()))
	type part struct {
		id   uint64
		role Role
		dst  **Environment
	}
	var parts []part
	for i, id := range p.GetParked() {
		parts = append(parts, part{id, RolePreview, &out.Parked[i]})
	}
	for _, r := range append(parts, []part{
		{p.GetPreview(), RolePreview, &out.Preview},
		{p.GetBackup(), RoleBackup, &out.Backup},
		{p.GetOnline(), RoleOnline, &out.Online}, // last: it wins should one environment have two roles
	}...) {
		if r.id == 0 {
			continue
		}
		e := b.environments.get(r.id)
		if e == nil {
			return fmt.Errorf("product %s names environment %d as %s, which the table lacks", out.Name, r.id, r.role)
		}
		e.Role, *r.dst = r.role, e
	}
	return nil
}
