package api

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"

	"connectrpc.com/connect"

	"abt2.dev"
)

const (
	artifactPath = "/v1/artifacts/"

	// An answer to HEAD has no body; an error is in its headers.
	headerErrorCode    = "Abt2-Error"
	headerErrorMessage = "Abt2-Error-Message" // percent-encoded
)

var digestRule = regexp.MustCompile(`^[0-9a-f]{64}$`)

// artifacts takes builds and tells which are there. operator.proto documents it.
type artifacts struct {
	svc    abt2.Service
	log    *slog.Logger
	max    int64 // bytes of one upload
	errors *connect.ErrorWriter
}

func (a *artifacts) head(w http.ResponseWriter, r *http.Request) {
	var there bool
	err := (&watch{a.log}).call(r.Context(), "HEAD "+artifactPath, func() (err error) {
		digest, err := digestOf(r)
		if err == nil {
			there, err = a.svc.HasArtifact(r.Context(), digest)
		}
		return err
	})
	switch {
	case err != nil:
		writeError(a.errors, w, r, err)
	case !there:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (a *artifacts) put(w http.ResponseWriter, r *http.Request) {
	if err := (&watch{a.log}).call(r.Context(), "PUT "+artifactPath, func() error { return a.store(w, r) }); err != nil {
		writeError(a.errors, w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *artifacts) store(w http.ResponseWriter, r *http.Request) error {
	art, err := artifactOf(r)
	if err != nil {
		return err
	}
	if art.Size > a.max {
		return abt2.Errorf(abt2.CodeInvalid, "size %d: an artifact may have at most %d bytes", art.Size, a.max)
	}
	body := &verified{r: http.MaxBytesReader(w, r.Body, a.max), sum: sha256.New(), want: art}
	err = a.svc.Upload(r.Context(), art, body)
	if body.err != nil {
		err = body.err
	}
	if err != nil {
		// A client that is still sending reads no answer on a connection that is
		// cut off, so the rest is taken and forgotten. It is bounded, and a client
		// that goes away ends it.
		_, _ = io.Copy(io.Discard, body.r)
	}
	return err
}

func digestOf(r *http.Request) (string, error) {
	digest := r.PathValue("sha256")
	if !digestRule.MatchString(digest) {
		return "", abt2.Errorf(abt2.CodeInvalid, "sha256 %q: must be 64 lower-case hexadecimal digits", digest)
	}
	return digest, nil
}

// artifactOf reads from the request's address what its body should be.
func artifactOf(r *http.Request) (abt2.Artifact, error) {
	digest, err := digestOf(r)
	if err != nil {
		return abt2.Artifact{}, err
	}
	query := r.URL.Query()
	art := abt2.Artifact{Digest: digest, Size: r.ContentLength, Name: query.Get("name"), Format: abt2.ArtifactFormat(query.Get("format"))}
	if s := query.Get("size"); s != "" {
		size, err := strconv.ParseInt(s, 10, 64)
		if err != nil || size < 0 || (r.ContentLength >= 0 && size != r.ContentLength) {
			return abt2.Artifact{}, abt2.Errorf(abt2.CodeInvalid, "size %q: must be the number of bytes, as in Content-Length", s)
		}
		art.Size = size
	}
	switch art.Format {
	case abt2.FormatExecutable, abt2.FormatTar, abt2.FormatTarGz, abt2.FormatZip, abt2.FormatJar:
	default:
		return abt2.Artifact{}, abt2.Errorf(abt2.CodeInvalid, "format %q: must be executable, tar, tar.gz, zip or jar; add ?format=", art.Format)
	}
	switch {
	case art.Name == "":
		return abt2.Artifact{}, abt2.Errorf(abt2.CodeInvalid, "name %q: must not be empty; add ?name= with the name of the file", "")
	case art.Size < 0:
		return abt2.Artifact{}, abt2.Errorf(abt2.CodeInvalid, "size: is not known; send Content-Length or add ?size=")
	}
	return art, nil
}

// verified reads an upload and fails, before it ends, where it is not what was
// announced: whoever stores it cannot mistake it for complete.
type verified struct {
	r    io.Reader
	sum  hash.Hash
	n    int64
	want abt2.Artifact
	err  error // what was wrong with the upload
}

func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	v.sum.Write(p[:n])
	v.n += int64(n)
	switch {
	case v.n > v.want.Size:
		v.err = abt2.Errorf(abt2.CodeInvalid, "%s: has more than the announced %d bytes; nothing was kept", v.want.Name, v.want.Size)
	case err == io.EOF && v.n < v.want.Size:
		v.err = abt2.Errorf(abt2.CodeInvalid, "%s: has %d bytes, announced were %d; nothing was kept", v.want.Name, v.n, v.want.Size)
	case v.n == v.want.Size:
		if is := hex.EncodeToString(v.sum.Sum(nil)); is != v.want.Digest {
			v.err = abt2.Errorf(abt2.CodeInvalid, "%s: sha256 is %s, announced was %s; nothing was kept, send it again", v.want.Name, is, v.want.Digest)
		}
	}
	if v.err != nil {
		return 0, v.err
	}
	return n, err
}

// writeError answers with an error as the request's protocol has it.
func writeError(ew *connect.ErrorWriter, w http.ResponseWriter, r *http.Request, err error) {
	if r.Method == http.MethodHead {
		headError(w, err)
	}
	_ = ew.Write(w, r, err) // fails where nobody listens
}
