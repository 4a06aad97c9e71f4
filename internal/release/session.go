package release

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"abt2.dev"
)

// Start implements abt2.Service.
func (e *Engine) Start(ctx context.Context, product abt2.ProductName) (abt2.StartAnswer, error) {
	if err := e.checkReady(); err != nil {
		return abt2.StartAnswer{}, err
	}
	s, err := e.Store.State(ctx)
	if err != nil {
		return abt2.StartAnswer{}, err
	}
	if _, err := s.Product(product); err != nil {
		return abt2.StartAnswer{}, err
	}
	sess := s.Session(product)
	out := abt2.StartAnswer{Free: sess == nil, Session: sess}
	if sess != nil {
		sess.Token = ""
	}
	for _, x := range s.Parked(s.Products[product]) {
		x.Token = ""
		out.Parked = append(out.Parked, *x)
	}
	return out, nil
}

// Create implements abt2.Service.
func (e *Engine) Create(ctx context.Context, q abt2.CreateRequest) (abt2.Session, error) {
	if err := e.checkReady(); err != nil {
		return abt2.Session{}, err
	}
	token, err := newToken()
	if err != nil {
		return abt2.Session{}, err
	}
	var out abt2.Session
	try := func(s *abt2.State) error {
		if err := e.mayChange(s, q.Product); err != nil {
			return err
		}
		sess, err := s.CreateSession(q.Product, actor(ctx, q.By), q.Description, token)
		if err == nil {
			out = *sess
		}
		return err
	}
	// The rules first: who may not open a session need not read differences.
	if err := e.change(ctx, true, try); err != nil {
		return abt2.Session{}, err
	}
	if !q.Force {
		differences, err := e.Validate(ctx, abt2.ValidateRequest{Product: q.Product})
		if err != nil {
			return abt2.Session{}, err
		}
		differences = slices.DeleteFunc(differences, func(d abt2.Difference) bool { return d.Meant || ofStranger(d) })
		if len(differences) > 0 {
			return abt2.Session{}, differ(differences, q.Operator)
		}
	}
	return out, e.change(ctx, q.DryRun, try)
}

func differ(list []abt2.Difference, operator string) error {
	var b strings.Builder
	for _, d := range list {
		fmt.Fprintf(&b, "\n  %s %s: should be %s, is %s", d.Part, d.Object, d.Should, d.Is)
	}
	return abt2.Errorf(abt2.CodeDifferences, "reality differs from what abt2 believes; mend it: abt2 refresh --op=%s, or open the session all the same: --force%s", operator, b.String())
}

// newToken draws 128 random bits.
func newToken() (abt2.Token, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return "", abt2.Wrap(abt2.CodeInternal, err, "no random bits for a token")
	}
	return abt2.Token(base64.RawURLEncoding.EncodeToString(b)), nil
}

// Drop implements abt2.Service.
func (e *Engine) Drop(ctx context.Context, q abt2.ModuleRequest) error {
	return e.forEach(ctx, q, (*abt2.State).Drop)
}

// Remove implements abt2.Service.
func (e *Engine) Remove(ctx context.Context, q abt2.ModuleRequest) error {
	return e.forEach(ctx, q, (*abt2.State).RemoveModule)
}

func (e *Engine) forEach(ctx context.Context, q abt2.ModuleRequest, rule func(*abt2.State, abt2.ProductName, abt2.Actor, abt2.ModuleName) error) error {
	if err := e.checkReady(); err != nil {
		return err
	}
	if len(q.Modules) == 0 {
		return abt2.Errorf(abt2.CodeInvalid, "--name %q: name a module", "")
	}
	return e.change(ctx, q.DryRun, func(s *abt2.State) error {
		if err := e.mayChange(s, q.Product); err != nil {
			return err
		}
		for _, m := range q.Modules {
			if err := rule(s, q.Product, actor(ctx, q.By), m); err != nil {
				return err
			}
		}
		return nil
	})
}

// Plan implements abt2.Service.
func (e *Engine) Plan(ctx context.Context, q abt2.PlanRequest) ([]abt2.PlanLine, error) {
	if err := e.checkReady(); err != nil {
		return nil, err
	}
	s, err := e.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.Product(q.Product); err != nil {
		return nil, err
	}
	sess := s.Session(q.Product)
	if sess == nil {
		return nil, abt2.Errorf(abt2.CodeRefused, "no session is open; open one: abt2 start create --op=%s", q.Operator)
	}
	if sess.Operator != q.Operator && !q.Takeover {
		return nil, abt2.Errorf(abt2.CodeOwner, "session %d belongs to %s; ask %s, or add --takeover", sess.ID, sess.Operator, sess.Operator)
	}
	return planLines(s, sess), nil
}

// planLines lists the session's targets against the environment it started from.
func planLines(s *abt2.State, sess *abt2.Session) []abt2.PlanLine {
	base := s.Environments[sess.Base]
	out := []abt2.PlanLine{}
	for _, name := range sortedModules(sess.Targets) {
		t := sess.Targets[name]
		line := abt2.PlanLine{Module: name, From: base.Modules[name], To: t.Put, State: t.State(), Detail: t.Failure}
		if t.Moved && t.Failure == "" {
			line.Detail = movedText(s, sess, name)
		}
		if v := s.Versions[t.Put]; v != nil {
			line.Size, line.Digest = v.Artifact.Size, v.Digest
		}
		out = append(out, line)
	}
	return out
}
