package cli

import (
	"errors"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"abt2.dev"
)

// hookFields are the fields of one of hooks: in abt2.yaml.
var hookFields = []string{"name", "verb", "when", "product", "command", "url", "timeout"}

// decodeHooks reads hooks: of the settings file at path. Each error names the
// field, its value and its line.
func decodeHooks(path string, list yaml.Node) ([]abt2.Hook, error) {
	if list.Kind == 0 || list.ShortTag() == "!!null" {
		return nil, nil
	}
	if list.Kind != yaml.SequenceNode {
		return nil, abt2.Errorf(abt2.CodeInvalid, "--config %q: line %d: hooks: must be a list, each beginning with - verb: commit", path, list.Line)
	}
	var out []abt2.Hook
	for _, one := range list.Content {
		h, err := decodeHook(path, one)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

func decodeHook(path string, one *yaml.Node) (abt2.Hook, error) {
	bad := func(line int, format string, args ...any) (abt2.Hook, error) {
		return abt2.Hook{}, abt2.Errorf(abt2.CodeInvalid, "--config %q: line %d: hooks: %s", path, line, abt2.Errorf(abt2.CodeInvalid, format, args...).Message)
	}
	if one.Kind != yaml.MappingNode {
		return bad(one.Line, "must be a list of fields like verb: commit; known: %s", strings.Join(hookFields, ", "))
	}
	var h abt2.Hook
	timeout := abt2.Duration(abt2.DefaultHookTimeout)
	into := map[string]any{
		"name": &h.Name, "verb": &h.Verb, "when": &h.When, "product": &h.Product, "command": &h.Command, "url": &h.URL, "timeout": &timeout,
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(one.Content); i += 2 {
		key, value := one.Content[i], one.Content[i+1]
		switch line, twice := lines[key.Value]; {
		case !slices.Contains(hookFields, key.Value):
			return bad(key.Line, "field %q: is unknown; known: %s", key.Value, strings.Join(hookFields, ", "))
		case twice:
			return bad(key.Line, "field %s: stands in line %d already; keep one of them", key.Value, line)
		}
		lines[key.Value] = key.Line
		if err := value.Decode(into[key.Value]); err != nil {
			known, ok := errors.AsType[*abt2.Error](err)
			switch {
			case ok:
				return bad(value.Line, "%s: %s", key.Value, known.Message)
			case key.Value == "command":
				return bad(value.Line, `command: must be a list of words, like ["/etc/abt2/approve.sh"]`)
			}
			return bad(value.Line, "%s: must be one word or quoted text", key.Value)
		}
	}
	h.Timeout = time.Duration(timeout)
	if err := h.Validate(); err != nil {
		field, _, _ := strings.Cut(err.Error(), " ")
		line := lines[strings.TrimSuffix(field, ":")]
		if line == 0 { // it is missing
			line = one.Line
		}
		return bad(line, "%s", err)
	}
	return h, nil
}
