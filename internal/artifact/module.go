package artifact

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"abt2.dev"
)

// maxModuleFile bounds module.yaml in bytes.
const maxModuleFile = 64 << 10

// DecodeModule reads a module.yaml; source names it in messages. It is strict:
// a field that is unknown or appears twice, a second document, or a value of
// another type is an error that tells field and line. A field without a value
// counts as left out.
func DecodeModule(b []byte, source string) (abt2.ConfigPatch, error) {
	if len(b) > maxModuleFile {
		return abt2.ConfigPatch{}, abt2.Errorf(abt2.CodeInvalid, "%s: has more than %d bytes; it describes one module only", source, maxModuleFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc, second yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return abt2.ConfigPatch{}, nil
	case err != nil:
		return abt2.ConfigPatch{}, abt2.Errorf(abt2.CodeInvalid, "%s: %s", source, yamlText(err))
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		return abt2.ConfigPatch{}, abt2.Errorf(abt2.CodeInvalid, "%s: has more after the first document; remove everything from --- on", source)
	}
	top := doc.Content[0]
	if top.ShortTag() == "!!null" {
		return abt2.ConfigPatch{}, nil
	}
	if top.Kind != yaml.MappingNode {
		return abt2.ConfigPatch{}, abt2.Errorf(abt2.CodeInvalid, "%s: line %d: must be a list of fields like kind: service; known: %s", source, top.Line, strings.Join(knownFields(), ", "))
	}
	return decodeFields(top, source)
}

func decodeFields(top *yaml.Node, source string) (abt2.ConfigPatch, error) {
	var patch abt2.ConfigPatch
	into := reflect.ValueOf(&patch).Elem()
	seen := map[string]int{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		field := fieldNamed(into, key.Value)
		if !field.IsValid() {
			return abt2.ConfigPatch{}, abt2.Errorf(abt2.CodeInvalid, "%s: line %d: field %q: is unknown; known: %s", source, key.Line, key.Value, strings.Join(knownFields(), ", "))
		}
		if line, twice := seen[key.Value]; twice {
			return abt2.ConfigPatch{}, abt2.Errorf(abt2.CodeInvalid, "%s: line %d: field %s: stands in line %d already; keep one of them", source, key.Line, key.Value, line)
		}
		seen[key.Value] = key.Line
		err := value.Decode(field.Addr().Interface())
		if err == nil && field.Type() == reflect.TypeFor[*int]() && value.ShortTag() == "!!float" {
			err = &yaml.TypeError{} // the library rounds silently
		}
		if err != nil {
			return abt2.ConfigPatch{}, abt2.Errorf(abt2.CodeInvalid, "%s: line %d: field %s: %s", source, value.Line, key.Value, valueText(err, value, field.Type()))
		}
	}
	return patch, nil
}

// fieldNamed returns the field of a patch with this name in YAML.
func fieldNamed(patch reflect.Value, name string) reflect.Value {
	for i, known := range knownFields() {
		if known == name {
			return patch.Field(i)
		}
	}
	return reflect.Value{}
}

func knownFields() []string {
	var out []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[abt2.ConfigPatch]()) {
		out = append(out, f.Tag.Get("yaml"))
	}
	return out
}

// valueText says what a field's value must be.
func valueText(err error, value *yaml.Node, field reflect.Type) string {
	var types *yaml.TypeError
	if !errors.As(err, &types) {
		return yamlText(err)
	}
	switch {
	case field == reflect.TypeFor[abt2.External](), field == reflect.TypeFor[*abt2.ServiceName]():
		return yamlText(err)
	case field.Kind() == reflect.Slice:
		return `must be a list of words, like ["./api", "-v"]`
	case field.Kind() == reflect.Map && value.Kind == yaml.MappingNode:
		return strings.Join(types.Errors, "; ") // a name that appears twice, with both lines
	case field.Kind() == reflect.Map:
		return "must be names with values, like {LOG_LEVEL: info}"
	case field.Elem().Kind() == reflect.Int:
		return "must be a whole number"
	}
	return "must be one word or quoted text"
}

// yamlText is the library's message without what only its authors understand.
func yamlText(err error) string {
	var known *abt2.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "\n", " ")
}
