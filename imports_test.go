package abt2_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// importRule says what a folder may import, beside the standard library.
type importRule struct {
	folder string   // with all below it, as far as they have no rule of their own
	ours   []string // packages of this project; "/…" at the end: with all below; "…": any
	others []string // modules of others; "…": any
	why    string
}

const (
	rootPkg = "abt2.dev"
	anyPkg  = "…"
)

// The rules of the design's "Layout and who may import whom". A folder without
// a rule fails the test: adding a folder is a decision.
var importRules = []importRule{
	{"abt2.dev", nil, nil,
		"the nouns and rules are the vocabulary of everybody, so they depend on nobody and do no I/O"},
	{"abt2.dev/lane", []string{"abt2.dev/lane/…"}, []string{"connectrpc.com/connect", "google.golang.org/protobuf", "google.golang.org/grpc", "go.opentelemetry.io/otel"},
		"users of the SDK inherit what it imports: neither etcd nor the engine"},
	{"abt2.dev/lane/disconf", []string{"abt2.dev/lane/zookeeper"}, []string{"github.com/go-zookeeper/zk"},
		"programs without disconf do not inherit it, and those with it inherit neither the SDK nor the server"},
	{"abt2.dev/lane/disconf/disconftest", nil, nil,
		"tests of every module run disconf's client with it"},
	{"abt2.dev/lane/navi", []string{"abt2.dev/lane/…"}, []string{"github.com/go-zookeeper/zk", "google.golang.org/protobuf"},
		"users of the SDK who do not speak Navi do not inherit it"},
	{"abt2.dev/lane/zookeeper", nil, []string{"github.com/go-zookeeper/zk"},
		"keepers of instances and the SDK's modules for ZooKeeper share it, and users of neither inherit it"},
	{"abt2.dev/lane/zookeeper/zktest", nil, nil,
		"tests of every module start a ZooKeeper with it, whatever client they use"},
	{"abt2.dev/proto", []string{"abt2.dev/proto/…"}, []string{"connectrpc.com/connect", "google.golang.org/protobuf"},
		"a protocol describes messages and does nothing"},
	{"abt2.dev/cmd/abt2", []string{anyPkg}, []string{anyPkg},
		"it wires the processes together"},
	{"abt2.dev/internal/server", []string{anyPkg}, []string{anyPkg},
		"it wires the server together; beside cmd it is the only place that knows everything"},
	{"abt2.dev/internal/cli", []string{rootPkg}, []string{anyPkg},
		"a command works with abt2.Service, whoever implements it, so that it can be tested against either"},
	{"abt2.dev/internal/api", []string{rootPkg, "abt2.dev/proto/…"}, []string{anyPkg},
		"handlers and client know the contract, not the engine"},
	{"abt2.dev/internal/release", []string{rootPkg}, nil,
		"the engine decides; what it needs of others are interfaces that it declares itself"},
	{"abt2.dev/internal/store", []string{rootPkg}, []string{"go.etcd.io/etcd", "go.uber.org/zap", "golang.org/x/sys"},
		"it knows etcd so that nobody else has to"},
	{"abt2.dev/internal/store/storetest", []string{rootPkg}, nil,
		"tests of the engine use it, and they are to know no etcd"},
	{"abt2.dev/internal/artifact", []string{rootPkg}, []string{"go.yaml.in/yaml/v3", "golang.org/x/sys"},
		"artifacts have their own contract, beside the state's"},
	{"abt2.dev/internal/backup", []string{rootPkg}, nil,
		"it is a file format: what goes into it, and where what comes out goes, is the server's to know"},
	{"abt2.dev/internal/doctor", nil, []string{"golang.org/x/sys"},
		"a check knows the system and nothing of abt2; the server tells it what to look at"},
	{"abt2.dev/internal/hook", []string{rootPkg}, nil,
		"it runs what operators have set; when, and what a refusal means, is the engine's to know"},
	{"abt2.dev/internal/nameserver", []string{rootPkg}, []string{"github.com/miekg/dns", "golang.org/x/net/netutil"},
		"it answers from a directory that it is handed, and is the only place that knows DNS as a server"},
	{"abt2.dev/internal/feed", []string{rootPkg, "abt2.dev/lane/feedpb/…"}, []string{"connectrpc.com/connect", "google.golang.org/protobuf", "golang.org/x/time"},
		"it sends what it is given; the router's side is lane"},
	{"abt2.dev/internal/edge", []string{rootPkg, "abt2.dev/lane/…", "abt2.dev/internal/edge/…"}, []string{anyPkg},
		"the edge is a process of its own, which outlives the server"},
	{"abt2.dev/internal/edge/edgectl", []string{rootPkg}, nil,
		"it is a protocol: the edge's driver needs it without the edge"},
	{"abt2.dev/internal/drill", []string{rootPkg}, []string{"github.com/HdrHistogram/hdrhistogram-go"},
		"a drill sees a product as its operators and its users do: by abt2.Service, and through the edge"},
	{"abt2.dev/internal/shim", []string{rootPkg, "abt2.dev/lane/…", "abt2.dev/internal/shim/…"}, []string{anyPkg},
		"a shim is a process of its own, which outlives the server"},
	{"abt2.dev/internal/shim/shimpb", []string{"abt2.dev/internal/shim/shimpb/…"}, []string{"connectrpc.com/connect", "google.golang.org/protobuf", "golang.org/x/sys"},
		"it is a protocol: the platform's driver needs it without the shim"},
	{"abt2.dev/internal/driver", []string{rootPkg, "abt2.dev/lane/…", "abt2.dev/internal/shim/shimpb/…", "abt2.dev/internal/edge/edgectl"}, []string{anyPkg},
		"a driver adapts one system; it knows the contracts and that system's protocol, never another driver nor the store"},
	{"abt2.dev/internal/driver/drivertest", []string{rootPkg}, []string{anyPkg},
		"a suite checks a contract, so it knows no driver"},
	{"abt2.dev/internal/driver/all", []string{rootPkg, "abt2.dev/internal/driver/…"}, nil,
		"it is the explicit list of drivers"},
	{"abt2.dev/examples/shop", []string{"abt2.dev/lane/…", "abt2.dev/examples/shop/hop", "abt2.dev/examples/shop/stock/stockpb"}, []string{anyPkg},
		"the shop shows what any module can do, so it has the SDK and nothing else"},
	{"abt2.dev/examples/shop/report", nil, nil,
		"it stands for the programs that know nothing of abt2"},
	{"abt2.dev/examples/demo", []string{rootPkg, "abt2.dev/examples/…"}, []string{anyPkg},
		"the demo drives abt2 from outside, as an operator does"},
}

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath, Dir, Doc string
	Imports              []string
	TestImports          []string
	XTestImports         []string
	GoFiles              []string
	Error                *struct{ Err string }
}

func TestImports(t *testing.T) {
	for _, system := range []string{"linux", "darwin"} {
		for _, module := range []string{".", "lane", "lane/disconf", "lane/navi", "lane/zookeeper"} {
			for _, p := range listPackages(t, module, system) {
				checkImports(t, p)
				checkNaming(t, p)
			}
		}
	}
}

func listPackages(t *testing.T, module, system string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Doc,Imports,TestImports,XTestImports,GoFiles,Error", "./...")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOPROXY=off", "GOWORK=off", "GOFLAGS=-mod=readonly", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var list []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 1 {
		t.Fatalf("module %s has only %v", module, list)
	}
	return list
}

func checkImports(t *testing.T, p goPackage) {
	t.Helper()
	if p.Error != nil {
		t.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		return
	}
	rule := ruleOf(p.ImportPath)
	if rule == nil {
		t.Errorf("%s: no rule says what it may import; adding a folder is a decision, record it in docs/adr and here", p.ImportPath)
		return
	}
	for _, i := range p.Imports {
		if reason := forbidden(*rule, p.ImportPath, i); reason != "" {
			t.Errorf("%s imports %s: %s", p.ImportPath, i, reason)
		}
	}
	for _, i := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
		if below(i, "go.etcd.io") && p.ImportPath != "abt2.dev/internal/store" {
			t.Errorf("%s imports %s: only internal/store knows etcd, so that it can be replaced in one place", p.ImportPath, i)
		}
	}
}

// ruleOf returns the rule of the nearest folder. The root's is for itself alone.
func ruleOf(pkg string) *importRule {
	var best *importRule
	for i, r := range importRules {
		applies := pkg == r.folder || r.folder != rootPkg && below(pkg, r.folder)
		if applies && (best == nil || len(r.folder) > len(best.folder)) {
			best = &importRules[i]
		}
	}
	return best
}

// forbidden returns why a package may not import another, or nothing.
func forbidden(r importRule, pkg, imported string) string {
	allowed := r.others
	switch first, _, _ := strings.Cut(imported, "/"); {
	case !strings.Contains(first, "."):
		return "" // the standard library
	case below(imported, rootPkg):
		allowed = r.ours
		if pkg != rootPkg && below(imported, pkg) {
			return "" // its own folders
		}
		for _, a := range allowed {
			if base, all := strings.CutSuffix(a, "/"+anyPkg); a == anyPkg || imported == base || all && below(imported, base) {
				return ""
			}
		}
	default:
		for _, a := range allowed {
			if a == anyPkg || below(imported, a) {
				return ""
			}
		}
	}
	if len(allowed) == 0 {
		return "it may import nothing of that kind: " + r.why
	}
	return "it may import " + strings.Join(allowed, ", ") + ": " + r.why
}

// below reports whether path is dir or lies in it.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// checkNaming: a package can be told in one line, and its name says what it is about.
func checkNaming(t *testing.T, p goPackage) {
	t.Helper()
	for _, part := range strings.Split(p.ImportPath, "/") {
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "base"}, part) {
			t.Errorf("%s: %q says nothing; name the folder after what is in it", p.ImportPath, part)
		}
	}
	if p.Doc == "" && len(p.GoFiles) > 0 && !generated(t, p) {
		t.Errorf("%s: has no doc comment; tell in one line what it is", p.ImportPath)
	}
}

func generated(t *testing.T, p goPackage) bool {
	t.Helper()
	for _, name := range p.GoFiles {
		b, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b, []byte("// Code generated ")) {
			return false
		}
	}
	return true
}

// TestImportRules: the check itself finds what it should.
func TestImportRules(t *testing.T) {
	for _, c := range []struct {
		pkg, imported string
		ok            bool
	}{
		{"abt2.dev", "context", true},
		{"abt2.dev", "abt2.dev/lane", false},
		{"abt2.dev", "golang.org/x/sys/unix", false},
		{"abt2.dev/lane/route", "abt2.dev/lane/feedpb", true},
		{"abt2.dev/lane", "abt2.dev", false},
		{"abt2.dev/lane", "go.etcd.io/etcd/client/v3", false},
		{"abt2.dev/internal/release", "abt2.dev", true},
		{"abt2.dev/internal/release", "abt2.dev/internal/store", false},
		{"abt2.dev/internal/store", "abt2.dev/internal/feed", false},
		{"abt2.dev/internal/api", "abt2.dev/internal/release", false},
		{"abt2.dev/internal/driver/process", "abt2.dev/internal/shim/shimpb/shimpbconnect", true},
		{"abt2.dev/internal/driver/process", "abt2.dev/internal/shim", false},
		{"abt2.dev/internal/driver/process", "abt2.dev/internal/driver/builtin", false},
		{"abt2.dev/internal/driver/process", "abt2.dev/internal/driver/process/ports", true},
		{"abt2.dev/internal/driver/process", "abt2.dev/internal/store", false},
		{"abt2.dev/examples/shop/report", "abt2.dev/lane", false},
		{"abt2.dev/examples/shop/web", "abt2.dev/internal/api", false},
	} {
		if reason := forbidden(*ruleOf(c.pkg), c.pkg, c.imported); (reason == "") != c.ok {
			t.Errorf("%s imports %s: %q", c.pkg, c.imported, reason)
		}
	}
	if r := ruleOf("abt2.dev/internal/whatever"); r != nil {
		t.Errorf("a new folder has the rule of %s", r.folder)
	}
}
