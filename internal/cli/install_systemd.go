package cli

import (
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"abt2.dev"
)

// unitTemplates are the units of a server and of an edge of its own, which are
// told unitSettings.
//
//go:embed units
var unitTemplates embed.FS

// unitSettings is what units say of one installation.
type unitSettings struct {
	Program string // path of abt2
	Data    string // absolute
	User    string
	Listen  string // as in ListenStream=: ADDRESS:PORT, or PORT alone
}

func (a *app) installSystemdCommand() *cobra.Command {
	var data, user, listen, prefix string
	var force bool
	c := &cobra.Command{
		Use:   "install-systemd",
		Short: "Write units that let systemd run server and edge",
		Long: `Writes abt2.service, the server, and abt2-edge.service with abt2-edge.socket, the
edge as a unit of its own: stopping or restarting the server touches no instance and
no edge, and while the edge is restarted new connections wait in its socket. The
units say why they are as they are.

It runs nothing: the last lines are what is left to do. A file that it has not
written, or that has been edited since, is left as it is unless --force is given;
settings of your own belong in a drop-in (systemctl edit abt2.service).`,
		Example: `  abt2 install-systemd --dry-run
  abt2 install-systemd --data=/srv/abt2 --user=abt2 --edge-listen=0.0.0.0:80`,
		Args: none,
		RunE: func(*cobra.Command, []string) error {
			s, err := a.unitSettings(data, user, listen)
			if err != nil {
				return err
			}
			units, err := renderUnits(s, prefix)
			if err != nil {
				return err
			}
			if a.dryRun {
				for _, u := range units {
					a.out.line("# %s\n%s", u.path, u.content)
				}
				return nil
			}
			if err := a.writeUnits(units, prefix, force); err != nil {
				return err
			}
			a.next("id %s || useradd --system --home-dir=%s --shell=/usr/sbin/nologin %[1]s", s.User, s.Data)
			a.next("install -d -m 0700 -o %s %s %[2]s/edge", s.User, s.Data)
			a.next("systemctl daemon-reload")
			a.next("systemctl enable --now abt2-edge.socket abt2-edge.service abt2.service")
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&user, "user", "abt2", "who server, edge and instances run as, the user `NAME`")
	f.StringVar(&data, "data", "/var/lib/abt2", "the data folder, `DIR`")
	f.StringVar(&listen, "edge-listen", "127.0.0.1:8080", "where users reach the edge, `ADDRESS:PORT`")
	f.StringVar(&prefix, "prefix", "/etc/systemd/system", "the folder of the unit files, `DIR`")
	f.BoolVar(&force, "force", false, "replace files that others have written or edited")
	a.dryRunFlag(c)
	return c
}

// Unit files have quoting rules of their own, and what needs none is enough.
var (
	unitPath = regexp.MustCompile(`^/[A-Za-z0-9/._+@-]+$`)
	unitUser = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,30}$`)
)

func (a *app) unitSettings(data, user, listen string) (unitSettings, error) {
	program, err := a.env.Executable()
	if err != nil {
		return unitSettings{}, abt2.Wrap(abt2.CodeFailed, err, "the path of this program, which the units need, cannot be found")
	}
	data, err = absolute(data)
	if err != nil {
		return unitSettings{}, err
	}
	for _, p := range []setting{{"--data", data}, {"this program", program}} {
		if !unitPath.MatchString(p.value) {
			return unitSettings{}, abt2.Errorf(abt2.CodeInvalid, "%s %q: must consist of letters, digits and / . _ + @ - to stand in a unit file; choose another place", p.name, p.value)
		}
	}
	switch {
	case !unitUser.MatchString(user):
		return unitSettings{}, abt2.Errorf(abt2.CodeInvalid, "--user %q: must be the name of a user, like abt2", user)
	case user == "root":
		return unitSettings{}, abt2.Errorf(abt2.CodeInvalid, "--user %q: every instance would run as root; name a user of its own, like abt2", user)
	}
	stream, err := listenStream(listen)
	return unitSettings{program, data, user, stream}, err
}

// listenStream writes an address as systemd.socket(5) wants it.
func listenStream(address string) (string, error) {
	wrong := abt2.Errorf(abt2.CodeInvalid, "--edge-listen %q: must be ADDRESS:PORT, like 0.0.0.0:80; systemd knows no names of hosts, and no port 0", address)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", wrong
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", wrong
	}
	if host == "" {
		return port, nil
	}
	if ip, err := netip.ParseAddr(host); err != nil || ip.Zone() != "" {
		return "", wrong
	}
	return address, nil
}

// unit is a unit file as it is to be.
type unit struct{ path, content string }

// unitMark begins a file of ours; what follows it is the digest of the rest.
const unitMark = "# Written by abt2 install-systemd. sha256:"

func renderUnits(s unitSettings, prefix string) ([]unit, error) {
	prefix, err := absolute(prefix)
	if err != nil {
		return nil, err
	}
	all, err := template.ParseFS(unitTemplates, "units/*")
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInternal, err, "the units cannot be read")
	}
	var out []unit
	for _, name := range []string{"abt2.service", "abt2-edge.service", "abt2-edge.socket"} {
		var b strings.Builder
		if err := all.ExecuteTemplate(&b, name, s); err != nil {
			return nil, abt2.Wrap(abt2.CodeInternal, err, "%s cannot be made", name)
		}
		out = append(out, unit{filepath.Join(prefix, name), unitHead(b.String()) + b.String()})
	}
	return out, nil
}

func unitHead(body string) string {
	return fmt.Sprintf("%s%x\n", unitMark, sha256.Sum256([]byte(body)))
}

// untouched tells whether a file is as it was written here once.
func untouched(content string) bool {
	head, body, ok := strings.Cut(content, "\n")
	return ok && head+"\n" == unitHead(body)
}

// writeUnits writes those that differ, or none if one of them is not ours to replace.
func (a *app) writeUnits(units []unit, prefix string, force bool) error {
	if info, err := os.Stat(prefix); err != nil || !info.IsDir() {
		return abt2.Wrap(abt2.CodeInvalid, err, "--prefix %q: is no folder; is this machine run by systemd? --dry-run prints the units", prefix)
	}
	same := map[string]bool{}
	for _, u := range units {
		b, err := os.ReadFile(u.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return abt2.Wrap(abt2.CodeFailed, err, "%s: cannot be read", u.path)
		case string(b) == u.content:
			same[u.path] = true
		case !force && !untouched(string(b)):
			return abt2.Errorf(abt2.CodeRefused, "%s: is not as abt2 install-systemd has written it; nothing was written. Keep what is yours in a drop-in (systemctl edit %s) and add --force", u.path, filepath.Base(u.path))
		}
	}
	for _, u := range units {
		if same[u.path] {
			a.out.line("same %s", u.path)
			continue
		}
		err := os.WriteFile(u.path+".new", []byte(u.content), 0o644)
		if err == nil {
			err = os.Rename(u.path+".new", u.path)
		}
		if err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "%s: cannot be written; are you root?", u.path)
		}
		a.out.line("wrote %s", u.path)
	}
	return nil
}
