package cli

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"abt2.dev"
)

// ZooKeeper is what a server is told of the ensemble it works with. It is zero
// where nothing needs one.
type ZooKeeper struct {
	Addresses []string // host:port of its servers
	Session   time.Duration
	Digest    string // user:password, a secret; empty: none
}

// zooKeeperSettings checks how the ensemble is reached. neededBy are the settings
// that call for one.
func (a *app) zooKeeperSettings(got map[string]setting, neededBy ...setting) (ZooKeeper, error) {
	servers := got["zookeeper"]
	switch {
	case servers.value == "" && len(neededBy) > 0:
		return ZooKeeper{}, abt2.Errorf(abt2.CodeInvalid, "%s %q: needs a ZooKeeper; name its servers: --zookeeper=HOST:PORT,…", neededBy[0].name, neededBy[0].value)
	case servers.value != "" && len(neededBy) == 0:
		return ZooKeeper{}, abt2.Errorf(abt2.CodeInvalid, "%s %q: nothing would use it; say what is to, like --registry=navi, or leave it out", servers.name, servers.value)
	case servers.value == "":
		return ZooKeeper{}, nil
	}
	var out ZooKeeper
	var err error
	for address := range strings.SplitSeq(servers.value, ",") {
		address = strings.TrimSpace(address)
		host, port, err := net.SplitHostPort(address)
		if n, numeric := strconv.ParseUint(port, 10, 16); err != nil || host == "" || numeric != nil || n == 0 {
			return ZooKeeper{}, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be HOST:PORT, several separated by commas", servers.name, address)
		}
		out.Addresses = append(out.Addresses, address)
	}
	session := got["zookeeper-session"]
	if out.Session, err = time.ParseDuration(session.value); err != nil || out.Session < 500*time.Millisecond || out.Session > 5*time.Minute {
		return ZooKeeper{}, abt2.Errorf(abt2.CodeInvalid, "%s %q: must be a duration from 500ms to 5m, like 10s", session.name, session.value)
	}
	out.Digest, err = a.userAndPassword(got["zookeeper-digest-file"], digestVariable)
	return out, err
}

// digestVariable holds what --zookeeper-digest-file would, where no file is named.
const digestVariable = "ABT2_ZOOKEEPER_DIGEST"

// userAndPassword reads user:password from a file or, where none is named, from a
// variable; empty if there is neither. Its errors do not show it.
func (a *app) userAndPassword(file setting, variable string) (string, error) {
	from, content := variable, a.env.Getenv(variable)
	if file.value != "" {
		b, err := os.ReadFile(file.value)
		if err != nil {
			return "", abt2.Wrap(abt2.CodeInvalid, err, "%s %q: cannot be read; name a file with USER:PASSWORD", file.name, file.value)
		}
		from, content = file.name+" "+file.value, strings.TrimSpace(string(b))
		if content == "" {
			return "", abt2.Errorf(abt2.CodeInvalid, "%s: is empty; it must be one line, USER:PASSWORD", from)
		}
	}
	user, password, ok := strings.Cut(content, ":")
	if content != "" && (!ok || user == "" || password == "" || strings.ContainsAny(content, "\r\n")) {
		return "", abt2.Errorf(abt2.CodeInvalid, "%s: must be one line, USER:PASSWORD", from)
	}
	return content, nil
}
