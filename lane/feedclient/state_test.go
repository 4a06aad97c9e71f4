package feedclient

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"abt2.dev/lane/feedpb"
)

func config(state string, apply func(*feedpb.Table) error) Config {
	return Config{
		Server: "127.0.0.1:1", State: state,
		Hello: &feedpb.Hello{RouterId: "order-1", Role: feedpb.Role_ROLE_PROCESS},
		Table: func(_ context.Context, t *feedpb.Table) error { return apply(t) },
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	nothing := func(*feedpb.Table) error { return nil }
	for name, spoil := range map[string]func(*Config){
		"router id": func(c *Config) { c.Hello = &feedpb.Hello{} },
		"table":     func(c *Config) { c.Table = nil },
		"routes":    func(c *Config) { c.Hello.Role = feedpb.Role_ROLE_EDGE },
		"no server": func(c *Config) { c.Server = "" },
		"scheme":    func(c *Config) { c.Server = "ftp://x" },
	} {
		cfg := config("", nothing)
		spoil(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRestore(t *testing.T) {
	kept, err := encode(&feedpb.ServerMessage{Message: &feedpb.ServerMessage_Table{Table: &feedpb.Table{Mark: &feedpb.Mark{Epoch: "e", Revision: 7}}}})
	if err != nil {
		t.Fatal(err)
	}
	routes, err := encode(&feedpb.ServerMessage{Message: &feedpb.ServerMessage_Routes{Routes: &feedpb.EdgeRoutes{}}})
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte{}, kept...)
	damaged[len(damaged)-1] ^= 1
	for _, tt := range []struct {
		name   string
		file   []byte // nil: none
		refuse error
		found  bool
		fails  bool
	}{
		{"nothing kept", nil, nil, false, false},
		{"kept", kept, nil, true, false},
		{"empty", []byte{}, nil, false, true},
		{"cut", kept[:len(kept)-1], nil, false, true},
		{"damaged", damaged, nil, false, true},
		{"another role's", routes, nil, false, true},
		{"refused", kept, errors.New("no"), false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.file != nil {
				if err := os.WriteFile(filepath.Join(dir, "feed"), tt.file, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var got *feedpb.Table
			c, err := New(config(dir, func(table *feedpb.Table) error { got = table; return tt.refuse }))
			if err != nil {
				t.Fatal(err)
			}
			found, err := c.Restore(context.Background())
			if found != tt.found || (err != nil) != tt.fails {
				t.Fatalf("got %v, %v", found, err)
			}
			if found && !proto.Equal(got.GetMark(), &feedpb.Mark{Epoch: "e", Revision: 7}) {
				t.Errorf("got %v", got)
			}
		})
	}
}
