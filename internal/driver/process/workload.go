package process

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
)

// check refuses a workload that cannot be started, before anything is.
func check(w abt2.Workload) error {
	v := w.Version.ID
	if v.IsZero() || w.Scale <= 0 {
		return abt2.Errorf(abt2.CodeInvalid, "workload %q at scale %d: needs a version and a scale above zero; use Remove to end it", v, w.Scale)
	}
	return v.Module.Validate()
}

// layout says where a version's instance finds its files.
type layout struct {
	argv    []string
	workDir string
	envFile string
	// link is the name under which a single-file artifact is found in its
	// working directory; empty for a folder.
	link string
}

// plan derives the layout of an instance whose own folder is dir, and refuses
// what would fail at every start.
func plan(w abt2.Workload, dir string) (layout, error) {
	c, v := w.Version.Config, w.Version.ID
	st, err := os.Stat(w.Source)
	if err != nil {
		return layout{}, abt2.Wrap(abt2.CodeFailed, err, "%s: its artifact cannot be read; put it again", v)
	}
	source, err := filepath.Abs(w.Source)
	if err != nil {
		return layout{}, abt2.Wrap(abt2.CodeFailed, err, "%s: its artifact cannot be found", v)
	}
	l := layout{argv: slices.Concat(c.Command, c.Args), workDir: source, envFile: c.EnvFile}
	if !st.IsDir() {
		l.workDir = filepath.Join(dir, "work")
		l.link = filepath.Base(cmp.Or(w.Version.Artifact.Name, string(v.Module)))
	}
	if len(c.Command) == 0 {
		switch {
		case st.IsDir():
			return layout{}, abt2.Errorf(abt2.CodeInvalid, "%s: command: the artifact is a folder, which cannot be run; set command in its module.yaml", v)
		case w.Version.Artifact.Format == abt2.FormatJar:
			l.argv = append([]string{"java", "-jar", source}, c.Args...)
		default:
			l.argv = append([]string{source}, c.Args...)
		}
	}
	if l.envFile != "" { // its content is the shim's to read
		switch {
		case filepath.IsAbs(l.envFile):
		case st.IsDir():
			l.envFile = filepath.Join(source, l.envFile)
		default:
			return layout{}, abt2.Errorf(abt2.CodeInvalid, "%s: env_file %q: is relative, but an artifact of one file has no folder; give an absolute path", v, l.envFile)
		}
		f, err := os.Open(l.envFile)
		if err != nil {
			return layout{}, abt2.Wrap(abt2.CodeFailed, err, "%s: env_file %q: cannot be read; create it, make it readable for abt2, or change env_file", v, l.envFile)
		}
		_ = f.Close()
	}
	return l, nil
}

// spec tells a shim all it needs to know.
func (p *Platform) spec(w abt2.Workload, l layout, id abt2.InstanceID, seq uint64, dir string, port uint32) *shimpb.Spec {
	c := w.Version.Config
	env := maps.Clone(w.Env)
	if p.cfg.Credential != nil {
		if env == nil {
			env = map[string]string{}
		}
		env["ABT2_CREDENTIAL"] = p.cfg.Credential(id)
	}
	return &shimpb.Spec{
		Protocol: shimpb.Protocol,
		Instance: string(id), Module: string(w.Version.ID.Module), Version: w.Version.ID.String(),
		Argv: l.argv, WorkDir: l.workDir, ModuleEnv: c.Env, Abt2Env: env, EnvFile: l.envFile,
		StateDir: filepath.Join(dir, "state"),
		Socket:   p.socket(seq), Host: p.cfg.Host, Port: port,
		Job: c.Kind == abt2.KindJob, Health: c.Health,
		ReadyTimeout: durationpb.New(time.Duration(c.ReadyTimeout)),
		StopGrace:    durationpb.New(time.Duration(c.StopGrace)),
	}
}

// furnish makes an instance's folder, or makes it whole again.
func furnish(dir string, l layout, source string) error {
	for _, d := range []string{"state", "work", shimpb.LogsDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	if l.link == "" {
		return nil
	}
	source, err := filepath.Abs(source)
	if err != nil {
		return err
	}
	link := filepath.Join(l.workDir, l.link)
	if at, err := os.Readlink(link); err == nil && at != source {
		if err := os.Remove(link); err != nil {
			return err
		}
	}
	if err := os.Symlink(source, link); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
