package haproxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"os"
	"strings"
	"text/template"
	"time"

	"abt2.dev"
)

//go:embed config.tmpl
var configText string

// configTemplate is ours, and is parsed once: a switch waits for what it makes.
var configTemplate = template.Must(template.New(configFile).Parse(configText))

// rendered is what HAProxy is started with.
type rendered struct {
	config []byte
	sum    string // of config
	shape  string // of all that only another start can change
	pem    []byte // nil: no TLS
}

// configData is what the template sees. Every string in it is ours, is escaped,
// or was checked to be no more than one word; but for the user's snippet.
type configData struct {
	Description, Listen, WorkerSocket, InnerSocket, Map, Pages, Connected, Snippet, TLSFile string

	Routed, StandIn, Nowhere, Empty, Reserved wayKind

	Hosts                               bool // some product names some
	HardStopAfter                       int64
	TLS, DropTrailers, RetryMisdirected bool
	Backends                            []configBackend
	CookieFirst, CookieLater, CookieAny string
	Baggage                             string
	Times                               [4]struct{} // how many of ours are taken out of one header
	Lines                               []int       // of baggage
}

type configBackend struct {
	Name    string
	Servers []configServer
}

type configServer struct{ Name, Address string }

// Our cookies in a Cookie header, in any case (RFC 6265, section 5.4: pairs are
// separated by semicolons and quotation marks protect nothing), and our member
// of baggage (W3C Baggage, section 3.3.1), its key as the most liberal reader
// would decode it.
const (
	ourCookie   = `abt2(?:-page|-visitor)?[ \t]*(?:=[^;]*)?`
	cookieFirst = `(?i)^[ \t]*` + ourCookie + `(?:;[ \t]*|$)(.*)$`
	cookieLater = `(?i)^(.*?);[ \t]*` + ourCookie + `(;.*)?$`
	cookieAny   = `(?i)(?:^|;)[ \t]*` + ourCookie + `(?:;|$)`

	blanks     = `(?:[ \t+]|%20|%09)*`
	ourKey     = `(?:a|%[46]1)(?:b|%[46]2)(?:t|%[57]4)(?:2|%32)(?:\.|%2e)(?:e|%[46]5)(?:n|%[46]e)(?:v|%[57]6)`
	ourBaggage = `(?i)^(.*?)(?:^|,)` + blanks + ourKey + blanks + `(?:[=;][^,]*)?(?:,(.*))?$`
)

// maxBaggage is how many Baggage headers a request may have.
const maxBaggage = 8

// render writes the configuration for a plan.
func (e *Edge) render(ctx context.Context, p *plan) (*rendered, error) {
	listen, err := e.address(ctx)
	if err != nil {
		return nil, err
	}
	f, err := e.features(ctx)
	if err != nil {
		return nil, err
	}
	d := configData{
		Listen: listen.String(), WorkerSocket: workerSocket, InnerSocket: innerSocket, Map: liveMap,
		Pages: e.cfg.Pages, Connected: abt2.ConnectedPath, Hosts: p.hosts,
		Routed: routed, StandIn: standIn, Nowhere: nowhere, Empty: empty, Reserved: reserved,
		TLSFile: liveLink + "/" + tlsFile, TLS: e.cfg.TLSCert != "",
		HardStopAfter: int64(max(e.cfg.HardStopAfter, time.Second) / time.Second),
		DropTrailers:  f.dropTrailers, RetryMisdirected: f.retryMisdirected,
		CookieFirst: cookieFirst, CookieLater: cookieLater, CookieAny: cookieAny, Baggage: ourBaggage,
	}
	for i := range maxBaggage {
		d.Lines = append(d.Lines, i+1)
	}
	out := &rendered{}
	if out.pem, err = e.readTLS(); err != nil {
		return nil, err
	}
	if e.cfg.Snippet != "" {
		b, err := os.ReadFile(e.cfg.Snippet)
		if err != nil {
			return nil, abt2.Wrap(abt2.CodeInvalid, err, "haproxy snippet %q: cannot be read", e.cfg.Snippet)
		}
		d.Snippet = strings.TrimRight(string(b), "\n")
	}
	for _, b := range p.backends {
		d.Backends = append(d.Backends, configBackend{Name: b.name})
	}
	shape, err := execute(d)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	sum.Write(shape)
	sum.Write(out.pem)
	out.shape = "abt2-" + hex.EncodeToString(sum.Sum(nil))
	d.Description = out.shape
	for i, b := range p.backends {
		for _, s := range b.servers {
			d.Backends[i].Servers = append(d.Backends[i].Servers, configServer{s.name, s.address.String()})
		}
	}
	if out.config, err = execute(d); err != nil {
		return nil, err
	}
	out.sum = sumOf(out.config)
	return out, nil
}

func execute(d configData) ([]byte, error) {
	var b bytes.Buffer
	if err := configTemplate.Execute(&b, d); err != nil {
		return nil, abt2.Wrap(abt2.CodeInternal, err, "the template of HAProxy's configuration")
	}
	return b.Bytes(), nil
}

// readTLS joins certificate and key, as HAProxy wants them; nil: no TLS.
func (e *Edge) readTLS() ([]byte, error) {
	if e.cfg.TLSCert == "" {
		return nil, nil
	}
	var out []byte
	for _, path := range []string{e.cfg.TLSCert, e.cfg.TLSKey} {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, abt2.Wrap(abt2.CodeInvalid, err, "TLS file %q: cannot be read", path)
		}
		out = append(append(out, b...), '\n')
	}
	return out, nil
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
