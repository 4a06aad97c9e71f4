package cli

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"abt2.dev"
)

const (
	defaultServer = "127.0.0.1:7070"
	defaultData   = "~/.local/share/abt2"
	tokenFile     = "operator.token"
)

// service returns the server's service, which need not be there yet.
func (a *app) service() (abt2.Service, error) {
	u, err := serverURL(a.env.Getenv("ABT2_SERVER"))
	if err != nil {
		return nil, err
	}
	return a.env.NewService(u, a.token), nil
}

// serverURL makes a URL of what ABT2_SERVER may say: HOST:PORT or a URL. The
// operators' credential never leaves the machine in the clear.
func serverURL(s string) (string, error) {
	if s == "" {
		s = defaultServer
	}
	full := s
	if !strings.Contains(s, "://") {
		full = "http://" + s
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", abt2.Errorf(abt2.CodeInvalid, "ABT2_SERVER %q: must be HOST:PORT or http://HOST:PORT, like %s", s, defaultServer)
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return "", abt2.Errorf(abt2.CodeInvalid,
			"ABT2_SERVER %q: the credential would travel unencrypted; use https://, or a tunnel: ssh -L 7070:127.0.0.1:7070 %s", s, u.Hostname())
	}
	return u.Scheme + "://" + u.Host, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// loopbackAddress checks where a server answers without TLS.
func loopbackAddress(field, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: must be HOST:PORT, like %s; port 0 picks a free one", field, address, defaultServer)
	}
	if !isLoopback(host) {
		return abt2.Errorf(abt2.CodeInvalid, "%s %q: must be a loopback address, like %s; to be reached from elsewhere, by TLS: --remote-listen; or through a tunnel: ssh -L", field, address, defaultServer)
	}
	return nil
}

// token returns the operators' credential. One that is not where it is looked
// for by default is empty: whether a server is there matters more.
func (a *app) token() (string, error) {
	path := a.env.Getenv("ABT2_TOKEN_FILE")
	named := path != ""
	if !named {
		dir, err := a.dataFolder()
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, tokenFile)
	}
	a.lookedIn = path
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return "", nil
	case err != nil && named:
		return "", abt2.Wrap(abt2.CodeUnauthorized, err, "ABT2_TOKEN_FILE %q: cannot be read; name the server's %s, or unset it and set ABT2_DATA", path, tokenFile)
	case err != nil:
		return "", abt2.Wrap(abt2.CodeUnauthorized, err, "credential %q: cannot be read; ask its owner, or name another file in ABT2_TOKEN_FILE", path)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsAny(token, " \r\n\t") {
		return "", abt2.Errorf(abt2.CodeUnauthorized, "credential %q: must hold one token on one line; copy %s from the server's data folder again", path, tokenFile)
	}
	return token, nil
}

// dataFolder is where the server of this machine keeps its things, unless told
// otherwise. The result is absolute.
func (a *app) dataFolder() (string, error) {
	dir := a.env.Getenv("ABT2_DATA")
	if dir == "" {
		home := a.env.Getenv("HOME")
		if home == "" {
			return "", abt2.Errorf(abt2.CodeInvalid, "ABT2_DATA: is not set, and neither is HOME; set ABT2_DATA to the data folder")
		}
		dir = filepath.Join(home, strings.TrimPrefix(defaultData, "~/"))
	}
	return absolute(dir)
}

func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", abt2.Wrap(abt2.CodeInvalid, err, "path %q: cannot be made absolute", path)
	}
	return abs, nil
}

// explain adds to what went wrong what only this side knows.
func (a *app) explain(e *abt2.Error) string {
	switch {
	case e.Code == abt2.CodeUnauthorized && a.lookedIn != "" && e.Cause == nil && !strings.Contains(e.Message, a.lookedIn):
		if _, err := os.Stat(a.lookedIn); errors.Is(err, fs.ErrNotExist) {
			return "no credential: " + a.lookedIn + " does not exist; set ABT2_DATA to the server's data folder, or ABT2_TOKEN_FILE to its " + tokenFile
		}
		return "wrong credential: the token in " + a.lookedIn + " is not this server's; set ABT2_DATA to the server's data folder, or ABT2_TOKEN_FILE to its " + tokenFile
	case e.Code == abt2.CodeConfirm && !strings.Contains(e.Message, "--yes"):
		return e.Message + "\nnobody is here to be asked: add --yes"
	case e.Cause != nil:
		return e.Message + " (" + e.Cause.Error() + ")"
	}
	return e.Message
}
