package stage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Build is one module as it is to be built: a folder with the program and its
// module.yaml is made of examples/shop/MODULE.
type Build struct {
	Module string
	Vars   map[string]string // -ldflags "-X main.KEY=VALUE"
	Config string            // lines to add to module.yaml
}

// Release makes builds/NAME with a folder for each build and a release.yaml
// that names them all, and returns the latter's path from the stage's folder.
func (s *Stage) Release(ctx context.Context, name string, builds ...Build) (string, error) {
	var list strings.Builder
	dir := filepath.Join("builds", name)
	for _, b := range builds {
		if err := s.build(ctx, filepath.Join(s.Dir, dir, b.Module), b); err != nil {
			return "", err
		}
		fmt.Fprintf(&list, "%s: %s\n", b.Module, b.Module)
	}
	file := filepath.Join(dir, "release.yaml")
	return file, os.WriteFile(filepath.Join(s.Dir, file), []byte(list.String()), 0o644)
}

func (s *Stage) build(ctx context.Context, dir string, b Build) error {
	source := filepath.Join(s.root, "examples", "shop", b.Module)
	ldflags := "-s -w"
	for k, v := range b.Vars {
		ldflags += fmt.Sprintf(" -X main.%s=%s", k, v)
	}
	if _, err := output(ctx, s.root, "go", "build", "-ldflags="+ldflags, "-o", filepath.Join(dir, b.Module), source); err != nil {
		return err
	}
	config, err := os.ReadFile(filepath.Join(source, "module.yaml"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "module.yaml"), append(config, b.Config...), 0o644)
}
