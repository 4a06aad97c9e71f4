package navi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestJavaCallsGo: Navi's client, or what stands in for it, calls a server in Go.
func TestJavaCallsGo(t *testing.T) {
	caller := javaCaller(t)
	address := serve(t, outside(t))
	for _, c := range []struct {
		call, want string
	}{
		{"Orders get 7", "= 7:book"},
		{"Orders join ab 3", "= ababab"},
		{"Orders nothing", "= null"},
		{"Orders missing 1", "= null"},
		{"Orders refuse empty", "! Throwable empty"},
		{"Orders slow 1", "! Throwable Orders.slow: its result cannot be encoded: json: unsupported type: func()"},
		{"Nobody get 7", `! Throwable no interface "Nobody" is served here`},
	} {
		if got := caller.ask(t, append([]string{address}, strings.Fields(c.call)...)...); got != c.want {
			t.Errorf("%s: %q, want %q", c.call, got, c.want)
		}
	}
}

// TestJavaFailsOver: what an instance refuses reaches another one by the Java
// client's own fail-over, which a wrong refusal would break.
func TestJavaFailsOver(t *testing.T) {
	caller := javaCaller(t)
	f := newFeed(t, nil, nil)
	good := serve(t, f.join(t, "order@3", "order-3-1"))
	unplaced := serve(t, f.join(t, "order@2", "order-2-1")) // no environment names it
	for name, bad := range map[string]string{"nobody listens": refusing(t), "no environment": unplaced} {
		for range 2 { // in turn, each is first once
			if got := caller.ask(t, bad+","+good, "Orders", "get", "7"); got != "= 7:book" {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
	if got := caller.ask(t, unplaced, "Orders", "get", "7"); !strings.HasPrefix(got, "! RpcException") {
		t.Errorf("alone: %q", got)
	}
}

// TestWhatNavisClientInsistsOn is what answers must be like, shown by answers that
// are not: it holds for Navi's own client, and so for what stands in for it.
func TestWhatNavisClientInsistsOn(t *testing.T) {
	caller := javaCaller(t)
	const good = `{"traceId":1,"result":{"id":7,"item":"book"},"status":0,"error":null}`
	for _, c := range []struct {
		name     string
		status   int
		content  string // Content-Type
		body     string
		chunked  bool
		want     string // begins what becomes of the call
		failover bool   // another instance is tried
	}{
		{name: "an answer", status: 200, content: "application/baidu.json", body: good, want: "= 7:book"},
		{name: "fields it does not know", status: 200, body: `{"result":{"id":7,"item":"book","isbn":1},"extra":{}}`, want: "= 7:book"},
		{name: "a length", status: 200, body: good, chunked: true, want: "! RpcException", failover: true},
		{name: "a result, null or not", status: 200, body: `{"traceId":1,"status":0}`, want: "! RpcException", failover: true},
		{name: "a result that is null", status: 200, body: `{"result":null}`, want: "= null"},
		{name: "an error with a cause", status: 200, body: `{"result":null,"status":2,"error":{"message":"a","cause":{"message":"b"}}}`, want: "! Throwable b"},
		{name: "not an error without a cause", status: 200, body: `{"result":null,"status":2,"error":{"message":"a"}}`, want: "! NullPointerException"},
		{name: "a type with every refusal", status: 503, want: "! NullPointerException"},
		{name: "a refusal that it reads", status: 404, content: "application/baidu.json", body: `{"result":null,"error":{"message":"a","cause":{"message":"b"}}}`, want: "! Throwable b"},
		{name: "a refusal that it takes elsewhere", status: 503, content: "application/baidu.json;charset=UTF-8", body: `{}`, want: "! RpcException", failover: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var calls atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header()["Content-Type"] = nil // none that Go would guess
				if c.content != "" {
					w.Header().Set("Content-Type", c.content)
				}
				w.WriteHeader(c.status)
				if c.chunked {
					http.NewResponseController(w).Flush()
				}
				_, _ = io.WriteString(w, c.body)
			}))
			defer srv.Close()
			address := srv.Listener.Addr().String()
			got := caller.ask(t, address+","+address, "Orders", "get", "7")
			if n := calls.Load(); !strings.HasPrefix(got, c.want) || (n == 2) != c.failover {
				t.Errorf("%q in %d calls, want %q, elsewhere %t", got, n, c.want, c.failover)
			}
		})
	}
}

// TestJavaIsStamped: a caller that knows nothing of environments gets the one
// that names the version which it has reached.
func TestJavaIsStamped(t *testing.T) {
	caller := javaCaller(t)
	f := newFeed(t, nil, nil)
	for version, want := range map[string]string{"order@3": "= 42", "order@4": "= 43"} {
		address := serve(t, f.join(t, version, strings.Replace(version, "@", "-", 1)+"-1"))
		if got := caller.ask(t, address, "Orders", "received"); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}

// TestAnswers: every answer has a Content-Type and a Content-Length, whatever
// the caller has sent; the environment is that of the header, else the body's.
func TestAnswers(t *testing.T) {
	f := newFeed(t, nil, nil)
	address := serve(t, f.join(t, "order@3", "order-3-1"))
	const call = `{"traceId":5,"method":"received","parameters":[]}`
	chunked := struct{ io.Reader }{strings.NewReader(call)} // of a length that nobody knows
	for _, c := range []struct {
		name    string
		method  string
		path    string
		body    io.Reader
		header  string // words: Name Value
		content string // type of the request; empty: application/baidu.json
		status  int
		want    string // in the answer
	}{
		{name: "no stamp", status: 200, want: `{"traceId":5,"result":42,"status":0,"error":null}`},
		{name: "header", header: "Abt2-Env 43", status: 200, want: `"result":43`},
		{name: "body", body: strings.NewReader(`{"method":"received","abt2Env":"43"}`), status: 200, want: `"result":43`},
		{name: "header before body", body: strings.NewReader(`{"method":"received","abt2Env":"43"}`), header: "Abt2-Env 42", status: 200, want: `"result":42`},
		{name: "charset", content: "application/baidu.json; charset=utf-8", status: 200, want: `"result":42`},
		{name: "malformed stamp", header: "Abt2-Env 0", status: 400, want: "must be a decimal number"},
		{name: "malformed stamp in the body", body: strings.NewReader(`{"method":"received","abt2Env":"x"}`), status: 400, want: "must be a decimal number"},
		{name: "for another version", header: "Abt2-To order@4", status: 421, want: "this is order@3/order-3-1, not order@4"},
		{name: "GET", method: "GET", body: http.NoBody, status: 405, want: "a call is a POST"},
		{name: "chunked", body: chunked, status: 411, want: "not chunked"},
		{name: "another protocol", content: "application/baidu.hessian", status: 406, want: "must be application/baidu.json, application/baidu.protobuf or application/baidu.protostuff"},
		{name: "no JSON", body: strings.NewReader("method=get"), status: 400, want: "the call's body"},
		{name: "empty", body: http.NoBody, status: 400, want: "the call's body"},
		{name: "no interface", path: "/service_api/a/b", status: 404, want: `no interface \"a/b\"`},
		{name: "no method", body: strings.NewReader(`{"traceId":9}`), status: 404, want: `"traceId":9`},
		{name: "too many arguments", body: strings.NewReader(`{"method":"get","parameters":[1,2]}`), status: 200, want: `"status":1`},
		{name: "wrong argument", body: strings.NewReader(`{"method":"get","parameters":["x"]}`), status: 200, want: "Orders.get: argument 1"},
		{name: "unknown fields", body: strings.NewReader(`{"method":"get","parameters":[1],"attachment":{}}`), status: 200, want: `"item":"book"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.method == "" {
				c.method = "POST"
			}
			if c.path == "" {
				c.path = "/service_api/Orders"
			}
			if c.body == nil {
				c.body = strings.NewReader(call)
			}
			if c.content == "" {
				c.content = "application/baidu.json"
			}
			req, err := http.NewRequestWithContext(testContext(t), c.method, "http://"+address+c.path, c.body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", c.content)
			if name, value, ok := strings.Cut(c.header, " "); ok {
				req.Header.Set(name, value)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer http.DefaultClient.CloseIdleConnections()
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || !strings.Contains(string(body), c.want) {
				t.Errorf("%s %s, want %d %s", res.Status, body, c.status, c.want)
			}
			if !strings.HasPrefix(res.Header.Get("Content-Type"), "application/baidu.json") || res.ContentLength != int64(len(body)) || len(body) == 0 {
				t.Errorf("Content-Type %q, Content-Length %d of %d", res.Header.Get("Content-Type"), res.ContentLength, len(body))
			}
		})
	}
}
