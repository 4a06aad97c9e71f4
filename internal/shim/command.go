package shim

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"abt2.dev/internal/shim/shimpb"
)

// inherited are the variables that an instance gets from the shim's own
// environment, where they are set.
var inherited = []string{"PATH", "HOME", "LANG", "TZ"}

// command makes the instance's command with nothing in its environment but what
// it is meant to see.
func command(spec *shimpb.Spec) (*exec.Cmd, error) {
	env, err := environment(spec, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	if len(spec.GetArgv()) == 0 {
		return nil, fmt.Errorf("command: is empty; set command in module.yaml")
	}
	path, err := program(spec.GetArgv()[0], spec.GetWorkDir(), env["PATH"])
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: path, Args: spec.GetArgv(), Dir: spec.GetWorkDir()}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		cmd.Env = append(cmd.Env, k+"="+env[k])
	}
	return cmd, nil
}

// environment lays the module's own variables over the inherited ones, those of
// its env_file between them, and abt2's over all.
func environment(spec *shimpb.Spec, lookup func(string) (string, bool)) (map[string]string, error) {
	env := map[string]string{}
	for _, k := range inherited {
		if v, ok := lookup(k); ok {
			env[k] = v
		}
	}
	if f := spec.GetEnvFile(); f != "" {
		secrets, err := readEnvFile(f)
		if err != nil {
			return nil, err
		}
		maps.Copy(env, secrets)
	}
	maps.Copy(env, spec.GetModuleEnv())
	maps.Copy(env, spec.GetAbt2Env())
	maps.Copy(env, map[string]string{
		"HOST": spec.GetHost(),
		"PORT": strconv.Itoa(int(spec.GetPort())),
		// The same under the names of JPaaS, for modules that were made for it.
		"JPAAS_HOST":      spec.GetHost(),
		"JPAAS_HTTP_PORT": strconv.Itoa(int(spec.GetPort())),
		"ABT2_MODULE":     spec.GetModule(),
		"ABT2_VERSION":    spec.GetVersion(),
		"ABT2_INSTANCE":   spec.GetInstance(),
		"ABT2_STATE":      spec.GetStateDir(),
	})
	return env, nil
}

// readEnvFile reads KEY=VALUE lines; empty lines and those beginning with # are
// skipped, values are taken as they stand. Its errors show no content: it is secret.
func readEnvFile(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("env_file %q: cannot be read (%w); create it, make it readable for abt2, or change env_file", path, err)
	}
	env := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, len(b)+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, v, ok := strings.Cut(line, "=")
		switch {
		case !ok || k == "" || strings.ContainsAny(k, " \t\x00") || strings.ContainsRune(v, 0):
			return nil, fmt.Errorf("env_file %q: line %d: must be KEY=VALUE, empty, or begin with #", path, n)
		case strings.HasPrefix(k, "ABT2_") || k == "PORT" || k == "HOST" || k == "JPAAS_HTTP_PORT" || k == "JPAAS_HOST":
			return nil, fmt.Errorf("env_file %q: line %d: abt2 sets PORT, HOST, JPAAS_HTTP_PORT, JPAAS_HOST and ABT2_… itself; choose another name", path, n)
		}
		env[k] = v
	}
	return env, nil
}

// program finds what to run as a shell would, were it in the working directory.
func program(name, dir, path string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, nil
	}
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) {
			continue // what is meant depends on where one stands: write ./NAME instead
		}
		p := filepath.Join(d, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("command %q: is not in PATH (%s); install it, or write ./%s for a file of the artifact", name, path, name)
}
