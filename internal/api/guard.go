package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"abt2.dev"
)

// Authenticator knows the credentials that may call. Calls come from several
// goroutines.
type Authenticator interface {
	// Authenticate returns whose token it is. The comparison must not take
	// longer the more of a guess is right.
	Authenticate(token string) (identity string, ok bool)
}

// OperatorToken accepts one token, as that identity. An empty token is never accepted.
func OperatorToken(identity, token string) Authenticator {
	return operatorToken{identity, sha256.Sum256([]byte(token)), token != ""}
}

type operatorToken struct {
	identity string
	digest   [sha256.Size]byte
	set      bool
}

func (o operatorToken) Authenticate(token string) (string, bool) {
	digest := sha256.Sum256([]byte(token)) // equal lengths: a comparison tells nothing of the token's
	if subtle.ConstantTimeCompare(digest[:], o.digest[:]) != 1 || !o.set {
		return "", false
	}
	return o.identity, true
}

// guard lets through what comes from where the server is and carries a credential.
type guard struct {
	auth  Authenticator
	hosts []string
	// certificate names hosts that are the server's own by TLS; nil: none.
	certificate *x509.Certificate
	log         *slog.Logger
	errors      *connect.ErrorWriter
	next        http.Handler
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := g.place(r); err != nil {
		g.refuse(w, r, connect.CodePermissionDenied, err)
		return
	}
	identity, err := g.identity(r)
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="abt2"`)
		g.refuse(w, r, connect.CodeUnauthenticated, err)
		return
	}
	g.next.ServeHTTP(w, r.WithContext(abt2.WithIdentity(r.Context(), identity)))
}

func (g *guard) refuse(w http.ResponseWriter, r *http.Request, code connect.Code, err *abt2.Error) {
	g.log.DebugContext(r.Context(), "request refused", "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr, "reason", err.Message)
	writeError(g.errors, w, r, withDetail(code, err))
}

// place checks that a browser which was lured to another site's page, or to a
// name that suddenly means this machine (DNS rebinding), gets nowhere.
func (g *guard) place(r *http.Request) *abt2.Error {
	if !g.ownHost(r) {
		return abt2.Errorf(abt2.CodeRefused, "Host %q: is not this server's; call it by a loopback address and its port", r.Host)
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	for _, origin := range r.Header.Values("Origin") {
		if !strings.EqualFold(origin, scheme+r.Host) {
			return abt2.Errorf(abt2.CodeRefused, "Origin %q: pages of other origins may not call this server", origin)
		}
	}
	return nil
}

func (g *guard) ownHost(r *http.Request) bool {
	if slices.ContainsFunc(g.hosts, func(h string) bool { return strings.EqualFold(h, r.Host) }) {
		return true
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil { // no port: the scheme's
		host, port = strings.Trim(r.Host, "[]"), "80"
		if r.TLS != nil {
			port = "443"
		}
	}
	ip, err := netip.ParseAddr(host)
	certified := r.TLS != nil && g.certificate != nil && g.certificate.VerifyHostname(host) == nil
	if !certified && !strings.EqualFold(host, "localhost") && (err != nil || !ip.IsLoopback()) {
		return false
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	_, own, err := net.SplitHostPort(local.String())
	return err == nil && port == own
}

func (g *guard) identity(r *http.Request) (string, *abt2.Error) {
	const remedy = `send "Authorization: Bearer TOKEN" with the content of operator.token in the server's data folder`
	header := r.Header.Values("Authorization")
	if len(header) == 0 {
		return "", abt2.Errorf(abt2.CodeUnauthorized, "no credential: %s", remedy)
	}
	scheme, token, ok := strings.Cut(header[0], " ")
	if !ok || len(header) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return "", abt2.Errorf(abt2.CodeUnauthorized, "Authorization: is not a bearer token; %s", remedy)
	}
	identity, ok := g.auth.Authenticate(strings.TrimSpace(token))
	if !ok {
		return "", abt2.Errorf(abt2.CodeUnauthorized, "wrong credential: %s", remedy)
	}
	return identity, nil
}
