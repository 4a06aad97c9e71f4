package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"abt2.dev"
	"abt2.dev/internal/api"
)

func artifact(content string) abt2.Artifact {
	sum := sha256.Sum256([]byte(content))
	return abt2.Artifact{Digest: hex.EncodeToString(sum[:]), Size: int64(len(content)), Name: "build.zip", Format: abt2.FormatZip}
}

// Whatever is wrong with an upload, the service never reads it to a clean end.
func TestUploadThatIsNotWhatItSays(t *testing.T) {
	content := strings.Repeat("abt2", 10_000)
	good := artifact(content)
	for _, tc := range []struct {
		name    string
		art     func(a *abt2.Artifact)
		body    io.Reader
		code    abt2.Code
		message string
	}{
		{"other bytes", func(a *abt2.Artifact) { a.Digest = artifact("else").Digest }, strings.NewReader(content), abt2.CodeInvalid, "sha256 is " + good.Digest},
		{"short digest", func(a *abt2.Artifact) { a.Digest = "abc" }, strings.NewReader(content), abt2.CodeInvalid, "64 lower-case"},
		{"capital digest", func(a *abt2.Artifact) { a.Digest = strings.ToUpper(a.Digest) }, strings.NewReader(content), abt2.CodeInvalid, "64 lower-case"},
		{"digest that climbs", func(a *abt2.Artifact) { a.Digest = "../../etc/passwd" }, strings.NewReader(content), abt2.CodeInvalid, "64 lower-case"},
		{"no name", func(a *abt2.Artifact) { a.Name = "" }, strings.NewReader(content), abt2.CodeInvalid, "name"},
		{"unknown format", func(a *abt2.Artifact) { a.Format = "rar" }, strings.NewReader(content), abt2.CodeInvalid, "format"},
		{"too large", func(a *abt2.Artifact) { a.Size = 1 << 20 }, strings.NewReader(strings.Repeat("x", 1<<20)), abt2.CodeInvalid, "at most"},
		{"source breaks off", func(a *abt2.Artifact) {}, io.MultiReader(strings.NewReader(content[:9]), iotest.ErrReader(errors.New("disk on fire"))), abt2.CodeFailed, "disk on fire"},
		{"source is too short", func(a *abt2.Artifact) {}, strings.NewReader(content[:9]), "", ""},
		{"source is too long", func(a *abt2.Artifact) {}, strings.NewReader(content + "x"), abt2.CodeFailed, "longer"},
		{"source is much too long", func(a *abt2.Artifact) {}, strings.NewReader(content + content), abt2.CodeFailed, "longer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			svc := &recorder{}
			client, ts := serve(t, svc, api.MaxArtifact(100_000))
			a := good
			tc.art(&a)
			err := client.Upload(t.Context(), a, tc.body)
			ts.Close() // waits for the handler
			if err == nil || (tc.code != "" && abt2.CodeOf(err) != tc.code) || !strings.Contains(err.Error(), tc.message) {
				t.Errorf("got %v (%q)", err, abt2.CodeOf(err))
			}
			if svc.uploaded != nil {
				t.Errorf("the service kept %d bytes", len(svc.uploaded))
			}
		})
	}
}

// A refusal in the middle reaches a client that is still sending.
func TestUploadRefusedByService(t *testing.T) {
	svc := &recorder{err: abt2.Errorf(abt2.CodeFailed, "the disk is full: free 3 GB in the data folder")}
	client, _ := serve(t, svc)
	content := strings.Repeat("abt2", 4<<20)
	err := client.Upload(t.Context(), artifact(content), strings.NewReader(content))
	if abt2.CodeOf(err) != abt2.CodeFailed || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("got %v", err)
	}
}

// As curl does it: with Content-Length, or chunked with size in the address.
func TestPutWithoutTheClient(t *testing.T) {
	const content = "some build"
	a := artifact(content)
	for _, tc := range []struct {
		name, query string
		body        io.Reader
		want        int
	}{
		{"length", "?name=build&format=zip", strings.NewReader(content), http.StatusNoContent},
		{"chunked", "?name=build&format=zip&size=10", io.MultiReader(strings.NewReader(content)), http.StatusNoContent},
		{"chunked without size", "?name=build&format=zip", io.MultiReader(strings.NewReader(content)), http.StatusBadRequest},
		{"chunked, too short", "?name=build&format=zip&size=11", io.MultiReader(strings.NewReader(content)), http.StatusBadRequest},
		{"chunked, too long", "?name=build&format=zip&size=9", io.MultiReader(strings.NewReader(content)), http.StatusBadRequest},
		{"lengths differ", "?name=build&format=zip&size=11", strings.NewReader(content), http.StatusBadRequest},
		{"negative size", "?name=build&format=zip&size=-1", strings.NewReader(content), http.StatusBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			svc := &recorder{}
			_, ts := serve(t, svc)
			req, err := http.NewRequest(http.MethodPut, ts.URL+"/v1/artifacts/"+a.Digest+tc.query, tc.body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := ts.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tc.want {
				body, _ := io.ReadAll(resp.Body)
				t.Errorf("%s: %s", resp.Status, body)
			}
			if stored := svc.uploaded != nil; stored != (tc.want == http.StatusNoContent) {
				t.Errorf("stored: %v", stored)
			}
		})
	}
}
