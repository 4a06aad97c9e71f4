package cli_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"abt2.dev"
	"abt2.dev/internal/cli"
)

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServerSettings(t *testing.T) {
	yaml := file(t, "abt2.yaml", "# shop\ndata: /srv/yaml\nlisten: 127.0.0.1:1\nedge_listen: 0.0.0.0:80\nedge_url: https://shop.example.com\nedge_cert: /etc/cert.pem\nedge_key: /etc/key.pem\nedge_start: false\naccess_log: true\nallow_faults: true\ndns_listen: 127.0.0.1:53\nlog_level: debug\n")
	defaults := cli.ServerConfig{Data: "/home/nobody/.local/share/abt2", Listen: "127.0.0.1:7070", EdgeListen: "127.0.0.1:8080", EdgeStart: true}
	for _, tc := range []struct {
		name, args string
		env        map[string]string
		want       func(c *cli.ServerConfig)
	}{
		{"defaults", "server", nil, func(c *cli.ServerConfig) {}},
		{"flags", "server --data=/srv/flag --listen=localhost:0 --edge-listen=:0 --edge-url=http://x --edge-cert=/c --edge-key=/k --edge-start=false --dns-listen=[::1]:0 --remote-listen=:7443 --remote-cert=/rc --remote-key=/rk --access-log --allow-faults --allow-root", nil, func(c *cli.ServerConfig) {
			*c = cli.ServerConfig{Data: "/srv/flag", Listen: "localhost:0", DNSListen: "[::1]:0", RemoteListen: ":7443", RemoteCert: "/rc", RemoteKey: "/rk", EdgeListen: ":0", EdgeURL: "http://x", EdgeCert: "/c", EdgeKey: "/k", AccessLog: true, AllowFaults: true, AllowRoot: true}
		}},
		{"file", "server --config=" + yaml, nil, func(c *cli.ServerConfig) {
			*c = cli.ServerConfig{Data: "/srv/yaml", Listen: "127.0.0.1:1", DNSListen: "127.0.0.1:53", EdgeListen: "0.0.0.0:80", EdgeURL: "https://shop.example.com", EdgeCert: "/etc/cert.pem", EdgeKey: "/etc/key.pem", AccessLog: true, AllowFaults: true}
		}},
		{"flags over environment over file", "server --listen=127.0.0.1:3 --access-log=false --allow-faults=false", map[string]string{"ABT2_CONFIG": yaml, "ABT2_DATA": "/srv/env", "ABT2_LISTEN": "127.0.0.1:2", "ABT2_EDGE_LISTEN": "127.0.0.1:4", "ABT2_EDGE_START": "true", "ABT2_DNS_LISTEN": "localhost:5353"}, func(c *cli.ServerConfig) {
			*c = cli.ServerConfig{Data: "/srv/env", Listen: "127.0.0.1:3", DNSListen: "localhost:5353", EdgeListen: "127.0.0.1:4", EdgeStart: true, EdgeURL: "https://shop.example.com", EdgeCert: "/etc/cert.pem", EdgeKey: "/etc/key.pem"}
		}},
		{"haproxy", "server --edge=haproxy --haproxy-program=/usr/sbin/haproxy", map[string]string{"ABT2_HAPROXY_SNIPPET": "/etc/own.cfg"}, func(c *cli.ServerConfig) {
			c.Edge, c.HAProxyProgram, c.HAProxySnippet = "haproxy", "/usr/sbin/haproxy", "/etc/own.cfg"
		}},
		{"navi", "server --registry=navi --zookeeper=10.0.0.1:2181,zk-2:2181 --advertise=10.0.0.9 --zookeeper-session=4s", map[string]string{"ABT2_NAVI_PREFIX": "/shop_rpc", "ABT2_ZOOKEEPER_DIGEST": "abt2:secret"}, func(c *cli.ServerConfig) {
			c.Registry, c.NaviPrefix, c.Advertise = "navi", "/shop_rpc", "10.0.0.9"
			c.ZooKeeper = cli.ZooKeeper{Addresses: []string{"10.0.0.1:2181", "zk-2:2181"}, Session: 4 * time.Second, Digest: "abt2:secret"}
		}},
		{"navi on one machine", "server --registry=navi --zookeeper=127.0.0.1:2181 --zookeeper-digest-file=" + file(t, "digest", "abt2:other\n"), map[string]string{"ABT2_ZOOKEEPER_DIGEST": "abt2:secret"}, func(c *cli.ServerConfig) {
			c.Registry = "navi"
			c.ZooKeeper = cli.ZooKeeper{Addresses: []string{"127.0.0.1:2181"}, Session: 10 * time.Second, Digest: "abt2:other"}
		}},
		{"disconf-web", "server --config-centre=disconf --zookeeper=10.0.0.1:2181 --disconf-web=http://10.0.0.8:8080", map[string]string{"ABT2_DISCONF_WEB_USER": "abt2:with:colon"}, func(c *cli.ServerConfig) {
			c.ConfigCentre = "disconf"
			c.ZooKeeper = cli.ZooKeeper{Addresses: []string{"10.0.0.1:2181"}, Session: 10 * time.Second}
			c.Disconf = cli.Disconf{Prefix: "/disconf", Version: "1_0_0_0", Env: "online", WebURL: "http://10.0.0.8:8080", WebUser: "abt2", WebPassword: "with:colon"}
		}},
		{"disconf", "server --config-centre=disconf --zookeeper=10.0.0.1:2181,10.0.0.2:2181 --disconf-listen=0.0.0.0:7072 --disconf-env=rd --disconf-module-items=true", map[string]string{"ABT2_DISCONF_PREFIX": "/conf"}, func(c *cli.ServerConfig) {
			c.ConfigCentre = "disconf"
			c.ZooKeeper = cli.ZooKeeper{Addresses: []string{"10.0.0.1:2181", "10.0.0.2:2181"}, Session: 10 * time.Second}
			c.Disconf = cli.Disconf{Listen: "0.0.0.0:7072", Prefix: "/conf", Version: "1_0_0_0", Env: "rd", Modules: true}
		}},
		{"bfe", "server --edge=bfe --bfe-websockets", map[string]string{"ABT2_BFE_CONF": "/etc/bfe-1, /etc/bfe-2"}, func(c *cli.ServerConfig) {
			c.Edge, c.BFEConf, c.BFEWebSockets = "bfe", []string{"/etc/bfe-1", "/etc/bfe-2"}, true
		}},
		{"no environment for root", "server", map[string]string{"ABT2_ALLOW_ROOT": "true"}, func(c *cli.ServerConfig) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := run(t, world{args: tc.args, env: tc.env})
			if res.status != 0 {
				t.Fatalf("status %d: %s", res.status, res.stderr)
			}
			want := defaults
			tc.want(&want)
			for field, byDefault := range map[*string]string{&want.Edge: "builtin", &want.Registry: "builtin", &want.Advertise: "127.0.0.1", &want.ConfigCentre: "builtin"} {
				if *field == "" {
					*field = byDefault
				}
			}
			if d := cmp.Diff(want, res.server, cmpopts.IgnoreFields(cli.ServerConfig{}, "Log", "Ready")); d != "" {
				t.Error(d)
			}
			if debug := res.server.Log.Enabled(context.Background(), slog.LevelDebug); debug != strings.Contains(tc.args+tc.env["ABT2_CONFIG"], "yaml") {
				t.Errorf("debug is logged: %v", debug)
			}
		})
	}
}

func TestWrongServerSettings(t *testing.T) {
	for _, tc := range []struct {
		args string
		env  map[string]string
		says []string
	}{
		{args: "server --listen=0.0.0.0:7070", says: []string{`--listen "0.0.0.0:7070"`, "loopback", "127.0.0.1:7070"}},
		{args: "server --listen=:7070", says: []string{`--listen ":7070"`, "loopback"}},
		{args: "server --listen=example.com:7070", says: []string{"loopback"}},
		{args: "server --listen=7070", says: []string{`--listen "7070"`, "HOST:PORT"}},
		{args: "server", env: map[string]string{"ABT2_LISTEN": "192.0.2.1:7070"}, says: []string{`ABT2_LISTEN "192.0.2.1:7070"`, "loopback"}},
		{args: "server --remote-listen=0.0.0.0:7443", says: []string{`--remote-listen "0.0.0.0:7443"`, "--remote-cert and --remote-key"}},
		{args: "server --remote-listen=127.0.0.1:7443 --remote-cert=/c", says: []string{"--remote-listen", "--remote-key"}},
		{args: "server --remote-cert=/c --remote-key=/k", says: []string{`--remote-cert "/c"`, "--remote-listen"}},
		{args: "server --remote-listen=7443 --remote-cert=/c --remote-key=/k", says: []string{`--remote-listen "7443"`, "HOST:PORT"}},
		{args: "server", env: map[string]string{"ABT2_REMOTE_LISTEN": ":7443"}, says: []string{`ABT2_REMOTE_LISTEN ":7443"`, "--remote-cert"}},
		{args: "server --edge-listen=80", says: []string{`--edge-listen "80"`, "HOST:PORT"}},
		{args: "server --dns-listen=0.0.0.0:53", says: []string{`--dns-listen "0.0.0.0:53"`, "loopback", "127.0.0.1:5353"}},
		{args: "server --dns-listen=127.0.0.1", says: []string{`--dns-listen "127.0.0.1"`, "port"}},
		{args: "server", env: map[string]string{"ABT2_DNS_LISTEN": ":53"}, says: []string{`ABT2_DNS_LISTEN ":53"`, "loopback"}},
		{args: "server --edge=nginx", says: []string{`--edge "nginx"`, "haproxy"}},
		{args: "server --haproxy-snippet=/etc/own.cfg", says: []string{`--haproxy-snippet "/etc/own.cfg"`, "--edge=haproxy"}},
		{args: "server --edge=haproxy --access-log", says: []string{"--access-log", "--haproxy-snippet"}},
		{args: "server --registry=consul", says: []string{`--registry "consul"`, "builtin or navi"}},
		{args: "server --registry=navi", says: []string{`--registry "navi"`, "--zookeeper=HOST:PORT"}},
		{args: "server --zookeeper=zk-1:2181", says: []string{`--zookeeper "zk-1:2181"`, "nothing would use it"}},
		{args: "server --navi-prefix=/x", says: []string{`--navi-prefix "/x"`, "--registry=navi"}},
		{args: "server --registry=navi --zookeeper=127.0.0.1", says: []string{`--zookeeper "127.0.0.1"`, "HOST:PORT"}},
		{args: "server --registry=navi --zookeeper=127.0.0.1:2181,", says: []string{`--zookeeper ""`, "HOST:PORT"}},
		{args: "server --registry=navi --zookeeper=:2181", says: []string{`--zookeeper ":2181"`, "HOST:PORT"}},
		{args: "server --registry=navi --zookeeper=zk-1:65536", says: []string{`--zookeeper "zk-1:65536"`, "HOST:PORT"}},
		{args: "server --registry=navi --zookeeper=zk-1:2181/navi_rpc", says: []string{`--zookeeper "zk-1:2181/navi_rpc"`, "HOST:PORT"}},
		{args: "server --registry=navi --zookeeper=127.0.0.1:2181 --navi-prefix=/", says: []string{`--navi-prefix "/"`, "/navi_rpc"}},
		{args: "server --registry=navi --zookeeper=127.0.0.1:2181 --navi-prefix=/a/../b", says: []string{`--navi-prefix "/a/../b"`}},
		{args: "server --registry=navi --zookeeper=127.0.0.1:2181 --zookeeper-session=1h", says: []string{`--zookeeper-session "1h"`, "5m"}},
		{args: "server --registry=navi --zookeeper=10.0.0.1:2181", says: []string{`--advertise "127.0.0.1"`, "10.0.0.1:2181", "--advertise=IP"}},
		{args: "server --registry=navi --zookeeper=127.0.0.1:2181,zk-2:2181", says: []string{`--advertise "127.0.0.1"`, "zk-2:2181"}},
		{args: "server --advertise=0.0.0.0", says: []string{`--advertise "0.0.0.0"`, "10.0.0.5"}},
		{args: "server --advertise=web-1", says: []string{`--advertise "web-1"`, "IP address"}},
		{args: "server --registry=navi --zookeeper=127.0.0.1:2181 --zookeeper-digest-file=/nowhere", says: []string{`--zookeeper-digest-file "/nowhere"`, "USER:PASSWORD"}},
		{args: "server --registry=navi --zookeeper=127.0.0.1:2181 --zookeeper-digest-file=" + file(t, "empty", "\n"), says: []string{"--zookeeper-digest-file", "is empty"}},
		{args: "server --registry=navi --zookeeper=127.0.0.1:2181", env: map[string]string{"ABT2_ZOOKEEPER_DIGEST": "hunter2"}, says: []string{"ABT2_ZOOKEEPER_DIGEST", "USER:PASSWORD"}},
		{args: "server --config-centre=nacos", says: []string{`--config-centre "nacos"`, "disconf"}},
		{args: "server --config-centre=disconf", says: []string{`--config-centre "disconf"`, "--zookeeper=HOST:PORT"}},
		{args: "server --config-centre=disconf --zookeeper=zk1", says: []string{`--zookeeper "zk1"`, "HOST:PORT"}},
		{args: "server --config-centre=disconf --zookeeper=zk1:2181 --disconf-listen=7072", says: []string{`--disconf-listen "7072"`, "HOST:PORT"}},
		{args: "server --disconf-module-items", says: []string{"--disconf-module-items true", "--config-centre=disconf"}},
		{args: "server --disconf-web=http://10.0.0.8", says: []string{`--disconf-web "http://10.0.0.8"`, "--config-centre=disconf"}},
		{args: "server --config-centre=disconf --zookeeper=zk1:2181 --disconf-web=10.0.0.8", env: map[string]string{"ABT2_DISCONF_WEB_USER": "a:b"}, says: []string{`--disconf-web "10.0.0.8"`, "http"}},
		{args: "server --config-centre=disconf --zookeeper=zk1:2181 --disconf-web=http://10.0.0.8", says: []string{`--disconf-web "http://10.0.0.8"`, "--disconf-web-user-file", "ABT2_DISCONF_WEB_USER"}},
		{args: "server --config-centre=disconf --zookeeper=zk1:2181 --disconf-web=http://10.0.0.8", env: map[string]string{"ABT2_DISCONF_WEB_USER": "hunter2"}, says: []string{"ABT2_DISCONF_WEB_USER", "USER:PASSWORD"}},
		{args: "server --config-centre=disconf --zookeeper=zk1:2181 --disconf-web=http://10.0.0.8 --disconf-listen=:7072", env: map[string]string{"ABT2_DISCONF_WEB_USER": "a:b"}, says: []string{`--disconf-listen ":7072"`, "http://10.0.0.8"}},
		{args: "server --config-centre=disconf --zookeeper=zk1:2181 --disconf-web=http://a:hunter2@10.0.0.8", says: []string{"--disconf-web at 10.0.0.8", "--disconf-web-user-file"}},
		{args: "server --config-centre=disconf --zookeeper=zk1:2181 --disconf-web-user-file=/etc/web", says: []string{`--disconf-web-user-file "/etc/web"`, "--disconf-web"}},
		{args: "server --disconf-listen=:7072", says: []string{`--disconf-listen ":7072"`, "--config-centre=disconf"}},
		{args: "server --edge=bfe", says: []string{`--bfe-conf ""`, "bfe.conf"}},
		{args: "server --edge=bfe --bfe-conf=/etc/bfe,", says: []string{`--bfe-conf "/etc/bfe,"`, "commas"}},
		{args: "server --bfe-conf=/etc/bfe", says: []string{`--bfe-conf "/etc/bfe"`, "--edge=bfe"}},
		{args: "server --edge=haproxy --bfe-websockets", says: []string{"--bfe-websockets", "--edge=bfe"}},
		{args: "server --edge=bfe --bfe-conf=/etc/bfe --edge-listen=:80", says: []string{"--edge-listen :80", "bfe.conf"}},
		{args: "server --edge=bfe --bfe-conf=/etc/bfe --edge-start=false", says: []string{"--edge-start false", "bfe.conf"}},
		{args: "server --edge-url=shop", says: []string{`--edge-url "shop"`}},
		{args: "server --edge-url=http://shop/path", says: []string{"--edge-url"}},
		{args: "server --edge-cert=/c", says: []string{"--edge-key", "both"}},
		{args: "server --log-level=loud", says: []string{`--log-level "loud"`, "debug"}},
		{args: "server", env: map[string]string{"ABT2_ACCESS_LOG": "maybe"}, says: []string{`ABT2_ACCESS_LOG "maybe"`}},
		{args: "server", env: map[string]string{"ABT2_EDGE_START": "maybe"}, says: []string{`ABT2_EDGE_START "maybe"`}},
		{args: "server --edge=haproxy --edge-start=false", says: []string{"--edge-start false", "--edge=builtin"}},
		{args: "server", env: map[string]string{"ABT2_ALLOW_FAULTS": "maybe"}, says: []string{`ABT2_ALLOW_FAULTS "maybe"`}},
		{args: "server --config=/nowhere.yaml", says: []string{`--config "/nowhere.yaml"`}},
		{args: "server --config=" + file(t, "a.yaml", "lisen: x\n"), says: []string{"lisen: is not a setting", "edge_listen"}},
		{args: "server --config=" + file(t, "b.yaml", "allow_root: true\n"), says: []string{"allow_root: is not a setting"}},
		{args: "server --config=" + file(t, "c.yaml", "listen: 0.0.0.0:1\n"), says: []string{`c.yaml: listen "0.0.0.0:1"`, "loopback"}},
		{args: "server --config=" + file(t, "d.yaml", "- a\n"), says: []string{"d.yaml", "setting: value"}},
	} {
		res := run(t, world{args: tc.args, env: tc.env})
		if res.status != 2 || res.server.Log != nil {
			t.Errorf("%s: status %d, started: %v", tc.args, res.status, res.server.Log != nil)
		}
		if strings.Contains(res.stderr, "hunter2") {
			t.Errorf("%s: a secret is shown: %s", tc.args, res.stderr)
		}
		for _, s := range tc.says {
			if !strings.Contains(res.stderr, s) {
				t.Errorf("%s: %q does not say %q", tc.args, res.stderr, s)
			}
		}
	}
}

func TestHookSettings(t *testing.T) {
	config := file(t, "abt2.yaml", `access_log: true
hooks:
  - verb: commit
    when: before
    product: default
    command: ["/etc/abt2/approve.sh", "-v"]
    timeout: 1m30s
    name: approval
  - {verb: rollback, when: after, url: "https://chat.example.com/abt2"}
`)
	res := run(t, world{args: "server --config=" + config})
	if res.status != 0 || !strings.Contains(res.stdout, ", 2 hooks\n") {
		t.Fatalf("status %d: %s%s", res.status, res.stdout, res.stderr)
	}
	if d := cmp.Diff([]abt2.Hook{
		{Name: "approval", Verb: "commit", When: "before", Product: "default", Command: []string{"/etc/abt2/approve.sh", "-v"}, Timeout: 90 * time.Second},
		{Verb: "rollback", When: "after", URL: "https://chat.example.com/abt2", Timeout: 30 * time.Second},
	}, res.server.Hooks); d != "" {
		t.Error(d)
	}
}

// The settings that docs/hooks.md shows are settings.
func TestHookDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, _ := strings.Cut(rest, "```")
	res := run(t, world{args: "server --config=" + file(t, "abt2.yaml", text)})
	if res.status != 0 || len(res.server.Hooks) != 4 {
		t.Errorf("status %d, %v: %s", res.status, res.server.Hooks, res.stderr)
	}
}

func TestWrongHookSettings(t *testing.T) {
	const good = "{verb: commit, when: before, url: 'http://x'}"
	for text, says := range map[string]string{
		"hooks: approve.sh\n":    "line 1: hooks: must be a list",
		"hooks:\n- approve.sh\n": "line 2: hooks: must be a list of fields",
		"hooks:\n- " + good + "\n- {verb: comit, when: before, url: 'http://x'}\n":          `line 3: hooks: verb "comit": must be one of ship, unship, commit`,
		"hooks:\n- verb: commit\n  when: during\n  url: http://x\n":                         `line 3: hooks: when "during": must be before or after`,
		"hooks:\n- verb: commit\n  url: http://x\n":                                         `line 2: hooks: when "": must be`,
		"hooks:\n- verb: commit\n  when: before\n":                                          "line 2: hooks: command: a hook has either a command or a url",
		"hooks:\n- verb: commit\n  when: before\n  url: http://x\n  command: [/bin/true]\n": "line 5: hooks: command: a hook has either",
		"hooks:\n- verb: commit\n  when: before\n  command: /bin/true -v\n":                 "line 4: hooks: command: must be a list of words",
		"hooks:\n- verb: commit\n  when: before\n  command: [approve.sh]\n":                 "line 4: hooks: command [\"approve.sh\"]: must begin with the absolute path",
		"hooks:\n- verb: commit\n  when: before\n  url: ftp://T0KEN\n":                      "line 4: hooks: url: must be like https://",
		"hooks:\n- verb: commit\n  when: before\n  url: http://x\n  timeout: 30\n":          `line 5: hooks: timeout: duration "30": must be a number with a unit`,
		"hooks:\n- verb: commit\n  when: before\n  url: http://x\n  timeout: 2h\n":          "line 5: hooks: timeout 2h0m0s: must be more than 0 and at most 1h",
		"hooks:\n- verb: commit\n  when: before\n  url: http://x\n  name: two people\n":     `line 5: hooks: name "two people": must be 1 to 40`,
		"hooks:\n- verb: commit\n  when: before\n  url: http://x\n  product: Shop\n":        "line 5: hooks: product: ",
		"hooks:\n- verb: commit\n  whem: before\n":                                          `line 3: hooks: field "whem": is unknown; known: name, verb, when`,
		"hooks:\n- verb: commit\n  when: before\n  verb: ship\n":                            "line 4: hooks: field verb: stands in line 2 already",
		"hooks:\n- verb: [commit]\n":                                                        "line 2: hooks: verb: must be one word",
		"listen: [a]\n":                                                                     "line 1: listen: must be one value",
		"hooks: []\nhooks: []\n":                                                            "already defined",
	} {
		res := run(t, world{args: "server --config=" + file(t, "abt2.yaml", text)})
		if res.status != 2 || res.server.Log != nil || !strings.Contains(res.stderr, says) || strings.Contains(res.stderr, "T0KEN") {
			t.Errorf("%q: status %d: %s; want %s", text, res.status, res.stderr, says)
		}
	}
	if res := run(t, world{args: "server --config=" + file(t, "abt2.yaml", "hooks:\n")}); res.status != 0 || strings.Contains(res.stdout, "hook") {
		t.Errorf("no hooks: status %d: %s%s", res.status, res.stdout, res.stderr)
	}
}

func TestServerFails(t *testing.T) {
	res := run(t, world{args: "server", err: abt2.Wrap(abt2.CodeRefused, errors.New("locked by 17"), "--data: another server is using it")})
	if res.status != 4 || res.stdout != "" || !strings.Contains(res.stderr, "another server is using it (locked by 17)") {
		t.Errorf("status %d: %s%s", res.status, res.stdout, res.stderr)
	}
}

// The hidden commands pass on what they were told.
func TestChildren(t *testing.T) {
	for _, args := range []string{"edge --dir=/srv/x", "shim --dir=/srv/x"} {
		if res := run(t, world{args: args}); res.status != 0 || len(res.dirs) != 1 || res.dirs[0] != "/srv/x" {
			t.Errorf("%s: status %d, told %v: %s", args, res.status, res.dirs, res.stderr)
		}
	}
	if res := run(t, world{args: "edge --dir=/srv/x --wait"}); res.edge != (cli.EdgeOptions{Wait: true}) {
		t.Errorf("the edge begins with %+v", res.edge)
	}
}

// A server that makes faults says so where nobody can miss it.
func TestReadyLine(t *testing.T) {
	for args, loud := range map[string]bool{"server": false, "server --allow-faults": true} {
		if res := run(t, world{args: args}); !strings.HasPrefix(res.stdout, "ready: api ") || strings.Contains(res.stdout, "FAULTS ARE ALLOWED") != loud {
			t.Errorf("%s: %q", args, res.stdout)
		}
	}
}
