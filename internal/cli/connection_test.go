package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"abt2.dev"
)

func TestServerAddress(t *testing.T) {
	for _, tc := range []struct {
		server string
		url    string // empty: refused
	}{
		{"", "http://127.0.0.1:7070"},
		{"127.0.0.1:9", "http://127.0.0.1:9"},
		{"localhost:9", "http://localhost:9"},
		{"[::1]:9", "http://[::1]:9"},
		{"http://127.0.0.1:9/", "http://127.0.0.1:9"},
		{"https://abt2.example.com", "https://abt2.example.com"},
		{"http://abt2.example.com", ""},
		{"192.0.2.1:7070", ""},
		{"ftp://127.0.0.1", ""},
		{"http://user:secret@127.0.0.1:9", ""},
		{"http://127.0.0.1:9/path", ""},
		{"127.0.0.1:port", ""},
		{"://", ""},
	} {
		res := run(t, world{args: "status", env: map[string]string{"ABT2_SERVER": tc.server}})
		if res.url != tc.url {
			t.Errorf("ABT2_SERVER=%q: asked %q, want %q", tc.server, res.url, tc.url)
		}
		if tc.url == "" && (res.status != 2 || !strings.Contains(res.stderr, "ABT2_SERVER")) {
			t.Errorf("ABT2_SERVER=%q: status %d: %s", tc.server, res.status, res.stderr)
		}
	}
}

func TestToken(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	named := write("named", "from-file\n")
	empty := write("empty", "\n")
	write("data/operator.token", "from-data\n")
	write("home/.local/share/abt2/operator.token", "from-home")
	data, home := filepath.Join(dir, "data"), filepath.Join(dir, "home")
	refused := abt2.Errorf(abt2.CodeUnauthorized, "wrong credential: send another")
	for _, tc := range []struct {
		name   string
		env    map[string]string
		err    error
		token  string
		status int
		says   []string
	}{
		{"file wins", map[string]string{"ABT2_TOKEN_FILE": named, "ABT2_DATA": data, "HOME": home}, nil, "from-file", 0, nil},
		{"then data folder", map[string]string{"ABT2_DATA": data, "HOME": home}, nil, "from-data", 0, nil},
		{"then default folder", map[string]string{"HOME": home}, nil, "from-home", 0, nil},
		{"file that is missing", map[string]string{"ABT2_TOKEN_FILE": dir + "/none"}, nil, "", 1, []string{"ABT2_TOKEN_FILE", dir + "/none", "operator.token"}},
		{"file that is empty", map[string]string{"ABT2_TOKEN_FILE": empty}, nil, "", 1, []string{empty, "one token"}},
		{"missing, and refused", map[string]string{"ABT2_DATA": dir}, refused, "", 1, []string{"no credential", dir + "/operator.token does not exist", "ABT2_DATA", "ABT2_TOKEN_FILE"}},
		{"refused", map[string]string{"ABT2_DATA": data}, refused, "from-data", 1, []string{"wrong credential", data + "/operator.token", "ABT2_DATA"}},
		{"no home", map[string]string{"HOME": ""}, nil, "", 2, []string{"ABT2_DATA: is not set"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := run(t, world{args: "status", env: tc.env, svc: &fake{err: tc.err}})
			if res.token != tc.token || res.status != tc.status {
				t.Errorf("token %q, status %d: %s", res.token, res.status, res.stderr)
			}
			for _, s := range tc.says {
				if !strings.Contains(res.stderr, s) {
					t.Errorf("%q does not say %q", res.stderr, s)
				}
			}
			if strings.Contains(res.stdout+res.stderr, "from-") {
				t.Errorf("the token is printed: %s%s", res.stdout, res.stderr)
			}
		})
	}
}

func TestOperator(t *testing.T) {
	for _, tc := range []struct{ args, env, want string }{
		{"commit --op=lihua", "wang", "lihua"},
		{"commit", "wang", "wang"},
		{"commit", "", "sysuser"},
	} {
		svc := &fake{}
		run(t, world{args: tc.args, env: map[string]string{"ABT2_OP": tc.env}, svc: svc})
		if want := `"Operator":"` + tc.want + `"`; !strings.Contains(svc.calls.String(), want) {
			t.Errorf("%s with ABT2_OP=%q: %s, want %s", tc.args, tc.env, svc.calls.String(), want)
		}
	}
}
