package cli_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// watcher asks for names over HTTP, as any program can.
type watcher struct {
	seen   map[string]string // ETags, by the path without its query
	behind chan error        // what goes on in the background; nil: nothing
}

type watchKey struct{}

func lookupName(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage, after serve: lookup STATUS PATH REGEXP")
	}
	ts.Check(ts.Value(watchKey{}).(*watcher).ask(ts.Getenv("ABT2_SERVER"), strings.TrimSpace(ts.ReadFile(ts.Getenv("ABT2_DATA")+"/operator.token")), args))
}

func background(ts *testscript.TestScript, neg bool, args []string) {
	w := ts.Value(watchKey{}).(*watcher)
	switch {
	case !neg && len(args) == 4 && args[0] == "lookup" && w.behind == nil:
		behind := make(chan error, 1)
		server, token := ts.Getenv("ABT2_SERVER"), strings.TrimSpace(ts.ReadFile(ts.Getenv("ABT2_DATA")+"/operator.token"))
		go func() { behind <- w.ask(server, token, args[1:]) }()
		w.behind = behind
	case !neg && len(args) == 1 && args[0] == "wait" && w.behind != nil:
		err := <-w.behind
		w.behind = nil
		ts.Check(err)
	default:
		ts.Fatalf("usage, after serve: background lookup STATUS PATH REGEXP, and then: background wait")
	}
}

// ask checks one answer; with a wait, those that follow, until one is as wanted.
func (w *watcher) ask(server, token string, args []string) error {
	want, err := regexp.Compile(args[2])
	if err != nil {
		return err
	}
	path, _, waits := strings.Cut(args[1], "?")
	for deadline := time.Now().Add(patience); ; {
		req, err := http.NewRequest(http.MethodGet, server+"/v1/names/"+args[1], nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		if waits {
			req.Header.Set("If-None-Match", w.seen[path])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return err
		}
		w.seen[path] = res.Header.Get("ETag")
		if strconv.Itoa(res.StatusCode) == args[0] && want.Match(body) {
			return nil
		}
		if !waits || time.Now().After(deadline) {
			return fmt.Errorf("%s: %s\n%s\nwant %s and a body like %s", req.URL, res.Status, body, args[0], args[2])
		}
	}
}
