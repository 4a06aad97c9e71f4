package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"abt2.dev"
	"abt2.dev/internal/api"
)

var codes = []abt2.Code{
	abt2.CodeInvalid, abt2.CodeNotFound, abt2.CodeRefused, abt2.CodeDifferences, abt2.CodeOwner, abt2.CodeUnconfirmed,
	abt2.CodeCommitted, abt2.CodeUnauthorized, abt2.CodeUnavailable, abt2.CodeFailed, abt2.CodeConfirm, abt2.CodeInternal,
}

// calls are one call of each way an error travels.
var calls = map[string]func(context.Context, abt2.Service) error{
	"unary":  func(ctx context.Context, s abt2.Service) error { _, err := s.Status(ctx, "default"); return err },
	"stream": func(ctx context.Context, s abt2.Service) error { return s.Logs(ctx, abt2.LogsRequest{}, io.Discard) },
	"HEAD": func(ctx context.Context, s abt2.Service) error {
		_, err := s.HasArtifact(ctx, strings.Repeat("a", 64))
		return err
	},
	"PUT": func(ctx context.Context, s abt2.Service) error {
		a := abt2.Artifact{Digest: strings.Repeat("a", 64), Size: 3, Name: "x", Format: abt2.FormatZip}
		return s.Upload(ctx, a, strings.NewReader("abc"))
	},
	"GET": func(ctx context.Context, s abt2.Service) error { return s.Backup(ctx, io.Discard) },
}

func TestErrorsKeepCodeAndMessage(t *testing.T) {
	for _, code := range codes {
		for way, call := range calls {
			t.Run(string(code)+" "+way, func(t *testing.T) {
				svc := &recorder{err: abt2.Wrap(code, errors.New("secret cause"), "módule %q:\nnot so", "wéb")}
				client, _ := serve(t, svc)
				err := call(t.Context(), client)
				var e *abt2.Error
				if !errors.As(err, &e) || e.Code != code || err.Error() != "módule \"wéb\":\nnot so" {
					t.Errorf("got %v (%q)", err, abt2.CodeOf(err))
				}
			})
		}
	}
}

// A backup that fails after its first byte does not look whole to anybody.
func TestBackupFailsInTheMiddle(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		code abt2.Code
		text string
	}{
		{"an error", abt2.Errorf(abt2.CodeFailed, "artifacts/ab is damaged"), abt2.CodeFailed, "artifacts/ab is damaged"},
		{"a defect", errors.New("secret"), abt2.CodeInternal, "its log says why"},
		{"an answer cut off", http.ErrAbortHandler, abt2.CodeUnavailable, "went away in the middle"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, _ := serve(t, &recorder{backup: []string{strings.Repeat("x", 100_000)}, err: tc.err})
			var got strings.Builder
			err := client.Backup(t.Context(), &got)
			if abt2.CodeOf(err) != tc.code || !strings.Contains(err.Error(), tc.text) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v (%q)", err, abt2.CodeOf(err))
			}
		})
	}
}

// What cannot be written is told as that, not as the server's fault.
func TestBackupToAFullDisk(t *testing.T) {
	client, _ := serve(t, &recorder{backup: []string{"x"}})
	err := client.Backup(t.Context(), fullDisk{})
	if abt2.CodeOf(err) != abt2.CodeFailed || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v (%q)", err, abt2.CodeOf(err))
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestOutcomeTravelsWithItsError(t *testing.T) {
	svc := &recorder{outcome: abt2.Outcome{To: 43, Warnings: []string{"names lag"}}, err: abt2.Errorf(abt2.CodeCommitted, "switched, but")}
	client, _ := serve(t, svc)
	o, err := client.Run(t.Context(), abt2.VerbRequest{Verb: abt2.VerbCommit}, nil)
	if o.To != 43 || len(o.Warnings) != 1 || abt2.CodeOf(err) != abt2.CodeCommitted {
		t.Errorf("got %+v, %v", o, err)
	}
}

// An error without a code is a defect: its text stays in the server.
func TestDefectsStayInside(t *testing.T) {
	for way, call := range calls {
		t.Run(way, func(t *testing.T) {
			for _, svc := range []abt2.Service{
				&recorder{err: errors.New("secret")},
				panics{}, // a nil Service inside: every call panics
			} {
				client, _ := serve(t, svc)
				err := call(t.Context(), client)
				if abt2.CodeOf(err) != abt2.CodeInternal || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v (%q)", err, abt2.CodeOf(err))
				}
			}
		})
	}
}

type panics struct{ abt2.Service }

func TestNoServer(t *testing.T) {
	ts := httptest.NewServer(http.NotFoundHandler())
	ts.Close()
	client := api.NewClient(ts.URL, func() (string, error) { return "", nil }, nil)
	for way, call := range calls {
		err := call(t.Context(), client)
		if abt2.CodeOf(err) != abt2.CodeUnavailable || !strings.Contains(err.Error(), "no server answers at "+ts.URL) {
			t.Errorf("%s: got %v (%q)", way, err, abt2.CodeOf(err))
		}
	}
}

func TestSomebodyElsesServer(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"page": func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>hello") },
		"json": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			http.Error(w, `{"code":"teapot"}`, http.StatusTeapot)
		},
	} {
		ts := httptest.NewServer(h)
		t.Cleanup(ts.Close)
		client := api.NewClient(ts.URL, func() (string, error) { return "", nil }, ts.Client())
		for way, call := range calls {
			if name == "page" && way == "HEAD" {
				continue // a page answers HEAD with 200, too; the upload that follows tells
			}
			if err := call(t.Context(), client); abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), "not an abt2 server") {
				t.Errorf("%s, %s: got %v (%q)", name, way, err, abt2.CodeOf(err))
			}
		}
	}
}

func TestTokenSourceFails(t *testing.T) {
	client := api.NewClient("http://127.0.0.1:1", func() (string, error) {
		return "", abt2.Errorf(abt2.CodeUnauthorized, "ABT2_TOKEN_FILE: no such file")
	}, nil)
	for way, call := range calls {
		if err := call(t.Context(), client); abt2.CodeOf(err) != abt2.CodeUnauthorized || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: got %v (%q)", way, err, abt2.CodeOf(err))
		}
	}
}

// The server dies in the middle of a verb: the caller learns what to do.
func TestServerGoesAwayDuringVerb(t *testing.T) {
	var ts *httptest.Server
	svc := &recorder{
		progress: []abt2.Progress{{Step: "start"}},
		run: func(ctx context.Context) error {
			ts.CloseClientConnections()
			<-ctx.Done()
			return ctx.Err()
		},
	}
	client, server := serve(t, svc)
	ts = server
	_, err := client.Run(t.Context(), abt2.VerbRequest{Verb: abt2.VerbCommit}, func(abt2.Progress) {})
	if abt2.CodeOf(err) != abt2.CodeUnavailable || !strings.Contains(err.Error(), "while commit was at work") {
		t.Errorf("got %v (%q)", err, abt2.CodeOf(err))
	}
}
