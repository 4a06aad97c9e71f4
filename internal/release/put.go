package release

import (
	"context"
	"io"
	"maps"
	"slices"

	"abt2.dev"
)

// HasArtifact implements abt2.Service.
func (e *Engine) HasArtifact(_ context.Context, digest string) (bool, error) {
	if err := checkDigest(digest); err != nil {
		return false, err
	}
	return e.Artifacts.Has(digest), nil
}

// Upload implements abt2.Service.
func (e *Engine) Upload(ctx context.Context, a abt2.Artifact, body io.Reader) error {
	if err := checkDigest(a.Digest); err != nil {
		return err
	}
	return e.Artifacts.Put(ctx, a, body)
}

func checkDigest(d string) error {
	if len(d) != 64 || len(trimHex(d)) > 0 {
		return abt2.Errorf(abt2.CodeInvalid, "digest %q: must be a sha256 in 64 lower-case hexadecimal digits", d)
	}
	return nil
}

func trimHex(s string) string {
	for len(s) > 0 && (s[0] >= '0' && s[0] <= '9' || s[0] >= 'a' && s[0] <= 'f') {
		s = s[1:]
	}
	return s
}

// Put implements abt2.Service.
func (e *Engine) Put(ctx context.Context, q abt2.PutRequest) ([]abt2.PutAnswer, error) {
	if err := e.checkReady(); err != nil {
		return nil, err
	}
	if len(q.Modules) == 0 {
		return nil, abt2.Errorf(abt2.CodeInvalid, "--name %q: name a module, or give many with --from=release.yaml", "")
	}
	e.keeping.RLock()
	defer e.keeping.RUnlock()
	a := actor(ctx, q.By)
	var answers []abt2.PutAnswer
	attempt := func(s *abt2.State) error {
		if err := e.mayChange(s, q.Product); err != nil {
			return err
		}
		puts := make([]abt2.Put, 0, len(q.Modules))
		answers = answers[:0]
		seen := map[abt2.ModuleName]bool{}
		for _, m := range q.Modules {
			if seen[m.Module] {
				return abt2.Errorf(abt2.CodeInvalid, "module %q: is named twice; name each module once", m.Module)
			}
			seen[m.Module] = true
			put, answer, err := e.derive(ctx, s, q, m)
			if err != nil {
				return err
			}
			puts, answers = append(puts, put), append(answers, answer)
		}
		if err := e.checkListing(s, q.Product, puts); err != nil {
			return err
		}
		if err := e.nameServices(ctx, s, puts); err != nil {
			return err
		}
		outcomes, err := s.PutVersions(q.Product, a, puts)
		if err != nil {
			return err
		}
		for i, o := range outcomes {
			answers[i].Version, answers[i].Same = o.Version, o.Same
			answers[i].Digest = s.Versions[o.Version].Digest
		}
		return nil
	}
	return answers, e.change(ctx, q.DryRun, attempt)
}

// change stores what fn does to the state; a dry run only tries it.
func (e *Engine) change(ctx context.Context, dryRun bool, fn func(*abt2.State) error) error {
	if dryRun {
		s, err := e.Store.State(ctx)
		if err != nil {
			return err
		}
		return fn(s)
	}
	_, err := e.Store.Update(ctx, fn)
	return err
}

// mayChange refuses to touch a session that a verb is at work on.
func (e *Engine) mayChange(s *abt2.State, name abt2.ProductName) error {
	p, err := s.Product(name)
	if err != nil {
		return err
	}
	if in := p.Intent; in != nil {
		return abt2.Errorf(abt2.CodeRefused, "%s by %s is at work on %s; wait for it: abt2 status", in.Verb, in.Operator, name)
	}
	return nil
}

// derive turns one module of a request into what the rules take: the artifact
// and its configuration from flags, file, module.yaml and the last release.
func (e *Engine) derive(ctx context.Context, s *abt2.State, q abt2.PutRequest, m abt2.PutModule) (abt2.Put, abt2.PutAnswer, error) {
	none := func(err error) (abt2.Put, abt2.PutAnswer, error) { return abt2.Put{}, abt2.PutAnswer{}, err }
	if err := m.Module.Validate(); err != nil {
		return none(err)
	}
	last, current := e.lastRelease(s, q.Product, m.Module)
	switch {
	case last == nil && !(q.Init || m.Init) && !announced(s, m.Module):
		return none(abt2.Errorf(abt2.CodeInvalid, "module %q: has never been released; if the name is right, say so with --init=true, or create it before: abt2 module create %s", m.Module, m.Module))
	case last != nil && (q.Init || m.Init):
		return none(abt2.Errorf(abt2.CodeInvalid, "module %q: --init=true is for modules never released before, and %s was; leave it out", m.Module, last.ID))
	}
	layers, err := e.ownLayers(ctx, m)
	if err != nil {
		return none(err)
	}
	if err := e.resolveRegistry(ctx, s, q.Product, m.Module, layers, last); err != nil {
		return none(err)
	}
	addresses, err := external(m, layers, current)
	if err != nil {
		return none(err)
	}
	if len(addresses) == 0 && m.Artifact == (abt2.Artifact{}) {
		if current == nil || current.External() {
			return none(abt2.Errorf(abt2.CodeInvalid, "module %q: has no build yet; give one with --path=ARTIFACT, or addresses with external in --file", m.Module))
		}
		m.Artifact = current.Artifact
		if layers, err = e.ownLayers(ctx, m); err != nil {
			return none(err)
		}
	}
	scale := firstScale(layers)
	if scale < 1 || scale > abt2.MaxScale {
		return none(abt2.Errorf(abt2.CodeInvalid, "%s: instances %d: must be 1 to %d", m.Module, scale, abt2.MaxScale))
	}
	if last != nil {
		layers = append(layers, abt2.InheritedPatch(last.Config, addresses))
	} else {
		layers = append(layers, abt2.ConfigPatch{External: addresses})
	}
	config, err := abt2.DeriveConfig(m.Module, layers...)
	if err != nil {
		return none(err)
	}
	if err := e.checkOwn(s, m.Module, config.External); err != nil {
		return none(err)
	}
	if config.Compat != "" && s.Products[config.Compat] == nil {
		return none(abt2.Errorf(abt2.CodeInvalid, "%s: compat %q: the product does not exist; known: %v", m.Module, config.Compat, slices.Sorted(maps.Keys(s.Products))))
	}
	answer := abt2.PutAnswer{Changes: abt2.DiffConfig(abt2.Config{}, config)}
	for i := range answer.Changes {
		answer.Changes[i].From = "" // not even a zero: there was nothing
	}
	if last != nil {
		answer.From, answer.Changes = last.ID, abt2.DiffConfig(last.Config, config)
	}
	return abt2.Put{Module: m.Module, Artifact: m.Artifact, Config: config, Scale: scale}, answer, nil
}

// announced reports whether an operator has said that the name is right.
func announced(s *abt2.State, m abt2.ModuleName) bool {
	return s.Modules[m] != nil && s.Modules[m].Created
}

// ownLayers returns what the put itself says of the configuration: flags, file,
// and the build's module.yaml if it names a build.
func (e *Engine) ownLayers(ctx context.Context, m abt2.PutModule) ([]abt2.ConfigPatch, error) {
	layers := []abt2.ConfigPatch{m.Flags}
	if len(m.File) > 0 {
		file, err := e.DecodeModule(m.File, "--file")
		if err != nil {
			return nil, err
		}
		layers = append(layers, file)
	}
	if m.Artifact == (abt2.Artifact{}) {
		return layers, nil
	}
	if err := checkDigest(m.Artifact.Digest); err != nil {
		return nil, err
	}
	if !e.Artifacts.Has(m.Artifact.Digest) {
		return nil, abt2.Errorf(abt2.CodeNotFound, "module %q: artifact %.12s is not on the server; put it again with --path", m.Module, m.Artifact.Digest)
	}
	b, err := e.Artifacts.ModuleYAML(ctx, m.Artifact)
	if err != nil || b == nil {
		return layers, err
	}
	own, err := e.DecodeModule(b, "module.yaml of "+string(m.Module))
	return append(layers, own), err
}

// lastRelease returns the version whose configuration a put inherits, and the
// one whose artifact it keeps when none is given: what the session put before,
// else the last release. Nil: there is none.
func (e *Engine) lastRelease(s *abt2.State, product abt2.ProductName, m abt2.ModuleName) (last, current *abt2.Version) {
	if mod := s.Modules[m]; mod != nil {
		last = s.Versions[mod.Released]
	}
	current = last
	if sess := s.Session(product); sess != nil {
		if t := sess.Targets[m]; t != nil && !t.Put.IsZero() {
			current = s.Versions[t.Put]
		}
	}
	return last, current
}

// firstScale is the scale that the uppermost layer with one asks for.
func firstScale(layers []abt2.ConfigPatch) int {
	for _, l := range layers {
		if l.Instances != nil {
			return *l.Instances
		}
	}
	return 1
}

// nameServices finds an unversioned name for each service that has none yet.
func (e *Engine) nameServices(ctx context.Context, s *abt2.State, puts []abt2.Put) error {
	taken := map[string]bool{}
	for _, m := range s.Modules {
		taken[m.Address] = true
	}
	for i := range puts {
		p := &puts[i]
		if m := s.Modules[p.Module]; p.Config.Kind != abt2.KindService || m != nil && m.Address != "" {
			continue
		}
		address, err := e.NewName(ctx, func(a string) bool { return taken[a] })
		if err != nil {
			return err
		}
		taken[address] = true
		p.Address = address
	}
	return nil
}
