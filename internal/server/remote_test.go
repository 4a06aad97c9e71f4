package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/api"
	"abt2.dev/internal/server"
)

// certificate makes a certificate for those names, its key, and the pool that
// trusts it.
func certificate(t *testing.T, names ...string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "abt2"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, DNSNames: names,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return cert, key, pool
}

// Beyond the machine there is TLS, and a credential for everything.
func TestRemoteAPI(t *testing.T) {
	in := prepare(t)
	cert, key, pool := certificate(t, "abt2.example.com")
	in.tune = func(c *server.Config) { c.RemoteListen, c.RemoteCert, c.RemoteKey = "0.0.0.0:0", cert, key }
	in.start()
	_, port, err := net.SplitHostPort(in.addresses.Remote)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port) // whatever the name
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	base := "https://abt2.example.com:" + port

	svc := api.NewClient(base, in.token, client)
	if s, err := svc.Status(t.Context(), abt2.DefaultProduct); err != nil || s.Product != abt2.DefaultProduct {
		t.Errorf("status with the credential: %+v, %v", s, err)
	}
	for _, wrong := range []string{"", "wrong"} {
		svc := api.NewClient(base, func() (string, error) { return wrong, nil }, client)
		if _, err := svc.Status(t.Context(), abt2.DefaultProduct); abt2.CodeOf(err) != abt2.CodeUnauthorized {
			t.Errorf("status with the credential %q: %v", wrong, err)
		}
	}
	for _, c := range []struct {
		path, host string
		want       int // hundreds
	}{
		{"/abt2.v1.OperatorService/Status", "abt2.example.com:" + port, 4},
		{"/abt2.feed.v1.FeedService/Fetch", "abt2.example.com:" + port, 4},
		{"/metrics", "abt2.example.com:" + port, 4},
		{"/v1/names/default/order", "abt2.example.com:" + port, 4},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode/100 != c.want {
			t.Errorf("%s without a credential: %s", c.path, res.Status)
		}
	}
	// A name that the certificate does not have, as one that was rebound.
	token, err := in.token()
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"abt2.example.com:" + port: http.StatusNotFound, "evil.example.com:" + port: http.StatusForbidden, "abt2.example.com:1": http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/v1/names/default/order", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("Host %s: %s, want %d", host, res.Status, want)
		}
	}
	// Without TLS nothing is understood there.
	res, err := http.Get("http://127.0.0.1:" + port + "/v1/names/default/order")
	if err == nil {
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS: %s", res.Status)
		}
	}
	// The machine's own address is as it was.
	if _, err := in.api.Status(t.Context(), abt2.DefaultProduct); err != nil {
		t.Error(err)
	}
}

func TestRemoteAPIRefuses(t *testing.T) {
	cert, key, _ := certificate(t, "abt2.example.com")
	nameless, namelessKey, _ := certificate(t)
	_, otherKey, _ := certificate(t, "abt2.example.com")
	for name, c := range map[string]struct{ cert, key, want string }{
		"no certificate":    {"", "", "--remote-cert and --remote-key"},
		"no key":            {cert, "", "--remote-cert and --remote-key"},
		"another key":       {cert, otherKey, "belong together"},
		"no such file":      {"/no/such/file", key, "belong together"},
		"a nameless server": {nameless, namelessKey, "names no host"},
	} {
		t.Run(name, func(t *testing.T) {
			in := prepare(t)
			err := server.Run(t.Context(), server.Config{
				Program: in.command, DataDir: in.dir, Listen: "127.0.0.1:0", EdgeListen: "127.0.0.1:0", AllowRoot: true,
				RemoteListen: "127.0.0.1:0", RemoteCert: c.cert, RemoteKey: c.key, Log: slog.New(slog.DiscardHandler),
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
