package bfe_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"abt2.dev/internal/driver/bfe"
	"abt2.dev/internal/driver/drivertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// program is a real BFE to be tested against, in place of the stand-in.
func program() string { return os.Getenv("ABT2_BFE") }

// place is a configuration folder and the ports that it names.
type place struct {
	dir                  string
	http, https, monitor string // host:port
	trust                *tls.Config
}

// bfeConf is what a user writes.
const bfeConf = `[Server]
HttpPort = %s
HttpsPort = %s
MonitorPort = %s
MaxCpus = 0
# where abt2 writes
HostRuleConf = server_data_conf/host_rule.data
VipRuleConf = server_data_conf/vip_rule.data
RouteRuleConf = server_data_conf/route_rule.data
ClusterConf = server_data_conf/cluster_conf.data
NameConf = server_data_conf/name_conf.data
ClusterTableConf = cluster_conf/cluster_table.data
GslbConf = cluster_conf/gslb.data
Modules = mod_header

[HttpsBasic]
ServerCertConf = tls_conf/server_cert_conf.data
TlsRuleConf = tls_conf/tls_rule_conf.data
CipherSuites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
CurvePreferences=CurveP256
ClientCABaseDir = tls_conf/client_ca
ClientCRLBaseDir = tls_conf/client_crl

[SessionCache]
SessionCacheDisabled = true

[SessionTicket]
SessionTicketsDisabled = true
SessionTicketKeyFile = tls_conf/session_ticket_key.data
`

// prepare makes what a user makes: bfe.conf, mod_header.conf and a certificate.
func prepare(t testing.TB) *place {
	t.Helper()
	p := &place{dir: t.TempDir(), http: freeAddress(t), https: freeAddress(t), monitor: freeAddress(t)}
	port := func(address string) string { _, port, _ := net.SplitHostPort(address); return port }
	certificate, key, trust := newCertificate(t)
	p.trust = trust
	for name, content := range map[string]string{
		"bfe.conf":                         fmt.Sprintf(bfeConf, port(p.http), port(p.https), port(p.monitor)),
		"mod_header/mod_header.conf":       "[basic]\nDataPath = mod_header/header_rule.data\n",
		"tls_conf/cert.pem":                certificate,
		"tls_conf/key.pem":                 key,
		"tls_conf/server_cert_conf.data":   `{"Version": "1", "Config": {"Default": "all", "CertConf": {"all": {"ServerCertFile": "tls_conf/cert.pem", "ServerKeyFile": "tls_conf/key.pem"}}}}`,
		"tls_conf/tls_rule_conf.data":      `{"Version": "1", "DefaultNextProtos": ["h2", "http/1.1"], "Config": {}}`,
		"tls_conf/session_ticket_key.data": `{"Version": "1", "SessionTicketKey": "` + strings.Repeat("0a", 48) + `"}`,
		"tls_conf/client_ca/none":          "",
		"tls_conf/client_crl/none":         "",
	} {
		write(t, filepath.Join(p.dir, name), content)
	}
	return p
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// freeAddress is one that nobody listens on; BFE cannot pick a port itself.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// newCertificate has an RSA key: BFE's suites for others are fewer.
func newCertificate(t testing.TB) (certificate, key string, trust *tls.Config) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "abt2"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	c := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots.AppendCertsFromPEM(c)
	return string(c), string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)})), &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS12}
}

// open returns the driver of a BFE, the real one or the stand-in, that runs
// until the test has ended, and what ends it as a crash would and starts it again.
func open(t testing.TB, cfg bfe.Config) (e *bfe.Edge, p *place, crash func()) {
	t.Helper()
	p = prepare(t)
	cfg.Dir = p.dir
	e, err := bfe.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Prepare(); err != nil {
		t.Fatal(err)
	}
	kill := p.run(t)
	t.Cleanup(func() { kill() })
	return e, p, func() { kill(); kill = p.run(t) }
}

// run starts a BFE and returns when it serves; end kills it.
func (p *place) run(t testing.TB) (end func()) {
	t.Helper()
	if program() == "" {
		s, err := startStandIn(p)
		if err != nil {
			t.Fatal(err)
		}
		return s.kill
	}
	var said bytes.Buffer
	cmd := exec.Command(program(), "-c", p.dir, "-l", filepath.Join(p.dir, "log"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	end = sync.OnceFunc(func() { _ = cmd.Process.Kill(); <-ended })
	for _, address := range []string{p.http, p.https, p.monitor} {
		until(t, func() bool {
			select {
			case <-ended:
				t.Fatalf("BFE ended: %s", said.Bytes())
			default:
			}
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	return end
}

// until looks again and again at something that sends no signal.
func until(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("gave up waiting: ", context.Cause(t.Context()))
		}
	}
}

// reload lets BFE load anew, as a hand at the machine would, and returns its answer.
func (p *place) reload(t testing.TB, what string) string {
	t.Helper()
	res, err := http.Get("http://" + p.monitor + "/reload/" + what)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("reload %s: status %d, error %v", what, res.StatusCode, err)
	}
	return b.String()
}

// edit changes a file by hand.
func (p *place) edit(t testing.TB, name string, change func(content string) string) {
	t.Helper()
	path := filepath.Join(p.dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, change(string(b)))
}

const (
	routeFile   = "server_data_conf/route_rule.data"
	clusterFile = "server_data_conf/cluster_conf.data"
	gslbFile    = "cluster_conf/gslb.data"
	headerFile  = "mod_header/header_rule.data"
	noteFile    = "abt2.json"
)

// TestEdge runs the suite, as far as BFE has its abilities.
func TestEdge(t *testing.T) {
	drivertest.Edge(t, func(t *testing.T) drivertest.EdgeFixture {
		e, p, crash := open(t, bfe.Config{})
		return drivertest.EdgeFixture{
			Edge: e, Address: p.http, HTTP2Address: p.https, HTTP2TLS: p.trust,
			AnswersAny500: true, TakesFirstToken: true, RewritesCookies: true, DropsBaggage: true,
			NoWebSockets: true, PassesMisdirected: true, KeepsTrailers: true, RepeatsNothing: true,
			Crash: func(*testing.T) { crash() },
			Drift: func(t *testing.T) {
				p.edit(t, routeFile, func(s string) string {
					return strings.NewReplacer(`"1.web"`, `"2.web"`, `"1.api"`, `"2.api"`, `"1.orders"`, `"2.orders"`).Replace(s)
				})
				if said := p.reload(t, "server_data_conf"); said != `{"error":null}` {
					t.Fatal(said)
				}
			},
		}
	})
}
