// Package bfetest has a BFE for tests: the real one that ABT2_BFE names, or one
// that stands for it where none is at hand.
package bfetest

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
)

// program is a real BFE to be tested against, in place of the stand-in.
func program() string { return os.Getenv("ABT2_BFE") }

// Place is a configuration folder and the ports that it names.
type Place struct {
	Dir                  string
	HTTP, HTTPS, Monitor string      // host:port
	Trust                *tls.Config // of a client of HTTPS
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

// Prepare makes what a user makes: bfe.conf, mod_header.conf and a certificate.
func Prepare(t testing.TB) *Place {
	t.Helper()
	p := &Place{Dir: t.TempDir(), HTTP: freeAddress(t), HTTPS: freeAddress(t), Monitor: freeAddress(t)}
	port := func(address string) string { _, port, _ := net.SplitHostPort(address); return port }
	certificate, key, trust := newCertificate(t)
	p.Trust = trust
	for name, content := range map[string]string{
		"bfe.conf":                         fmt.Sprintf(bfeConf, port(p.HTTP), port(p.HTTPS), port(p.Monitor)),
		"mod_header/mod_header.conf":       "[basic]\nDataPath = mod_header/header_rule.data\n",
		"tls_conf/cert.pem":                certificate,
		"tls_conf/key.pem":                 key,
		"tls_conf/server_cert_conf.data":   `{"Version": "1", "Config": {"Default": "all", "CertConf": {"all": {"ServerCertFile": "tls_conf/cert.pem", "ServerKeyFile": "tls_conf/key.pem"}}}}`,
		"tls_conf/tls_rule_conf.data":      `{"Version": "1", "DefaultNextProtos": ["h2", "http/1.1"], "Config": {}}`,
		"tls_conf/session_ticket_key.data": `{"Version": "1", "SessionTicketKey": "` + strings.Repeat("0a", 48) + `"}`,
		"tls_conf/client_ca/none":          "",
		"tls_conf/client_crl/none":         "",
	} {
		write(t, filepath.Join(p.Dir, name), content)
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

// Run starts a BFE and returns when it serves; end kills it.
func (p *Place) Run(t testing.TB) (end func()) {
	t.Helper()
	if program() == "" {
		s, err := startStandIn(p)
		if err != nil {
			t.Fatal(err)
		}
		return s.kill
	}
	var said bytes.Buffer
	cmd := exec.Command(program(), "-c", p.Dir, "-l", filepath.Join(p.Dir, "log"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.Dir, &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	end = sync.OnceFunc(func() { _ = cmd.Process.Kill(); <-ended })
	for _, address := range []string{p.HTTP, p.HTTPS, p.Monitor} {
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

// Reload lets BFE load anew, as a hand at the machine would, and returns its answer.
func (p *Place) Reload(t testing.TB, what string) string {
	t.Helper()
	res, err := http.Get("http://" + p.Monitor + "/reload/" + what)
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

// Edit changes a file by hand.
func (p *Place) Edit(t testing.TB, name string, change func(content string) string) {
	t.Helper()
	path := filepath.Join(p.Dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, change(string(b)))
}
