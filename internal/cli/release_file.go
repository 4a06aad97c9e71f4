package cli

import (
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"abt2.dev"
)

// readReleaseFile reads which modules --from puts, in the file's order:
//
//	web: ./web.tar.gz
//	order: {path: ./order, file: order.yaml, init: true}
//
// Paths are relative to the file.
func readReleaseFile(path string) ([]putWant, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "--from %q: cannot be read; name a YAML file", path)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "--from %q: is not YAML", path)
	}
	bad := func(n *yaml.Node, what string) error {
		return abt2.Errorf(abt2.CodeInvalid, "--from %q, line %d: %s", path, max(n.Line, 1), what)
	}
	const form = "must be lines of MODULE: PATH, or MODULE: {path: PATH, file: PATH, init: true}"
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode || len(doc.Content[0].Content) == 0 {
		return nil, bad(&doc, form)
	}
	var out []putWant
	seen := map[abt2.ModuleName]bool{}
	pairs := doc.Content[0].Content
	for i := 0; i < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		w := putWant{module: abt2.ModuleName(key.Value)}
		if err := w.module.Validate(); err != nil {
			return nil, bad(key, err.Error())
		}
		if seen[w.module] {
			return nil, bad(key, "module "+key.Value+": stands twice; remove one")
		}
		seen[w.module] = true
		switch value.Kind {
		case yaml.ScalarNode:
			w.path = value.Value
		case yaml.MappingNode:
			for j := 0; j < len(value.Content); j += 2 {
				field, v := value.Content[j], value.Content[j+1]
				var err error
				switch field.Value {
				case "path":
					err = v.Decode(&w.path)
				case "file":
					err = v.Decode(&w.file)
				case "init":
					err = v.Decode(&w.isNew)
				default:
					return nil, bad(field, key.Value+": "+field.Value+": is not a field; there are path, file and init")
				}
				if err != nil {
					return nil, bad(v, key.Value+": "+field.Value+": "+err.Error())
				}
			}
		}
		if w.path == "" && w.file == "" {
			return nil, bad(value, key.Value+": "+form)
		}
		w.path, w.file = beside(path, w.path), beside(path, w.file)
		out = append(out, w)
	}
	return out, nil
}

// beside resolves a path that a file names.
func beside(file, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}
