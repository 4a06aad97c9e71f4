package api_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/api"
)

func TestGuard(t *testing.T) {
	svc := &recorder{}
	_, ts := serve(t, svc, api.AllowHosts("abt2.example.com"))
	u, err := url.Parse(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	port := u.Port()
	for _, tc := range []struct {
		name   string
		host   string
		header map[string]string
		want   int
	}{
		{"as it should be", "", nil, 200},
		{"by name", "localhost:" + port, nil, 200},
		{"by another loopback address", "127.9.9.9:" + port, nil, 200},
		{"by IPv6", "[::1]:" + port, nil, 200},
		{"allowed host", "abt2.example.com", nil, 200},
		{"allowed host, in capitals", "ABT2.example.com", nil, 200},
		{"allowed host, other port", "abt2.example.com:8", nil, 403},
		{"rebound name", "evil.example.com:" + port, nil, 403},
		{"rebound name that looks local", "localhost.evil.example.com:" + port, nil, 403},
		{"wrong port", "localhost:1", nil, 403},
		{"no port", "localhost", nil, 403},
		{"outside address", "192.0.2.1:" + port, nil, 403},
		{"own origin", "", map[string]string{"Origin": ts.URL}, 200},
		{"other origin", "", map[string]string{"Origin": "http://evil.example.com"}, 403},
		{"other port's origin", "", map[string]string{"Origin": "http://127.0.0.1:1"}, 403},
		{"other scheme's origin", "", map[string]string{"Origin": "https://" + u.Host}, 403},
		{"hidden origin", "", map[string]string{"Origin": "null"}, 403},
		{"no credential", "", map[string]string{"Authorization": ""}, 401},
		{"wrong credential", "", map[string]string{"Authorization": "Bearer nonsense"}, 401},
		{"beginning of the credential", "", map[string]string{"Authorization": "Bearer " + token[:len(token)-1]}, 401},
		{"empty credential", "", map[string]string{"Authorization": "Bearer "}, 401},
		{"other scheme", "", map[string]string{"Authorization": "Basic " + token}, 401},
		{"scheme in small letters", "", map[string]string{"Authorization": "bearer " + token}, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, target := range []struct{ method, path string }{
				{http.MethodPost, "/abt2.v1.OperatorService/Status"},
				{http.MethodPut, "/v1/artifacts/" + emptyDigest + "?name=x&format=zip"},
			} {
				svc.calls = nil
				req, err := http.NewRequest(target.method, ts.URL+target.path, strings.NewReader("{}"))
				if target.method == http.MethodPut {
					req, err = http.NewRequest(target.method, ts.URL+target.path, http.NoBody)
				}
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Authorization", "Bearer "+token)
				for k, v := range tc.header {
					if req.Header.Set(k, v); v == "" {
						req.Header.Del(k)
					}
				}
				if tc.host != "" {
					req.Host = tc.host
				}
				resp, err := ts.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				want := tc.want
				if want == 200 && target.method == http.MethodPut {
					want = http.StatusNoContent
				}
				if resp.StatusCode != want {
					t.Errorf("%s: %s, want %d", target.method, resp.Status, want)
				}
				if called := len(svc.calls) > 0; called != (tc.want == 200) {
					t.Errorf("%s: the service was called: %v", target.method, called)
				}
			}
		})
	}
}

const emptyDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestWrongCredentialReachesTheClient(t *testing.T) {
	_, ts := serve(t, &recorder{})
	client := api.NewClient(ts.URL, func() (string, error) { return "guess", nil }, ts.Client())
	for way, call := range calls {
		if err := call(t.Context(), client); abt2.CodeOf(err) != abt2.CodeUnauthorized || !strings.Contains(err.Error(), "wrong credential") {
			t.Errorf("%s: got %v (%q)", way, err, abt2.CodeOf(err))
		}
	}
}

func TestEmptyTokenIsNoToken(t *testing.T) {
	if id, ok := api.OperatorToken("operator.token", "").Authenticate(""); ok {
		t.Errorf("an empty token authenticates as %q", id)
	}
}

// Whatever is logged, neither the right nor a wrong token is.
func TestTokensAreNotLogged(t *testing.T) {
	var log bytes.Buffer
	h := api.NewHandler(&recorder{err: abt2.Errorf(abt2.CodeRefused, "no")}, api.OperatorToken("operator.token", token),
		slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	ts := httptest.NewServer(h)
	for _, credential := range []string{token, "guessed-token"} {
		client := api.NewClient(ts.URL, func() (string, error) { return credential, nil }, ts.Client())
		for _, call := range calls {
			_ = call(t.Context(), client)
		}
	}
	ts.Close() // waits for the handlers, so that nobody writes the log any more
	if !strings.Contains(log.String(), "identity=operator.token") || !strings.Contains(log.String(), "wrong credential") {
		t.Errorf("calls and refusals should be logged:\n%s", log.String())
	}
	for _, secret := range []string{token, "guessed-token"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("token in the log:\n%s", log.String())
		}
	}
}
