// Package backup is the format of a backup: one tar file that says what is in
// it before it holds it.
//
//	abt2-backup.json     the manifest: format, who wrote it, every part with size and sha256
//	state.jsonl          the store's records, one a line
//	artifacts/SHA256     a build, byte for byte
//	abt2-backup.end      the manifest's sha256: the file is whole
//
// Parts come in the manifest's order. A reader takes nothing that the manifest
// does not announce, so a name in the file never decides where something is
// written. The format number grows when an older reader must not try.
package backup

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"abt2.dev"
)

// Format is the newest format that this package writes and reads.
const Format = 1

// The entries of a backup that are not artifacts.
const (
	manifestName = "abt2-backup.json"
	endName      = "abt2-backup.end"
	StateName    = "state.jsonl"
	artifactsDir = "artifacts/"
)

// Manifest says what a backup holds.
type Manifest struct {
	Format       int       `json:"format"`
	Abt2         string    `json:"abt2"`         // the version that wrote it
	Installation string    `json:"installation"` // whose it is
	Epoch        string    `json:"epoch"`        // of the state
	Revision     uint64    `json:"revision"`     // of the store, at which all of the state was read
	Created      time.Time `json:"created"`      // for display
	Parts        []Part    `json:"parts"`        // the state, then artifacts
}

// Part is one file of a backup.
type Part struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // 64 hexadecimal digits
}

// ArtifactPart is the part that holds the artifact with this sha256.
func ArtifactPart(digest string, size int64) Part {
	return Part{Name: artifactsDir + digest, Size: size, SHA256: digest}
}

// Artifact returns the sha256 of the artifact that the part holds, or "".
func (p Part) Artifact() string {
	digest, ok := strings.CutPrefix(p.Name, artifactsDir)
	if !ok {
		return ""
	}
	return digest
}

var digestRule = regexp.MustCompile(`^[0-9a-f]{64}$`)

// decode reads a manifest. What a newer abt2 wrote is told apart from what is
// damaged, whatever else may be in it.
func decode(b []byte, own string) (Manifest, error) {
	var head struct {
		Format int    `json:"format"`
		Abt2   string `json:"abt2"`
	}
	if err := json.Unmarshal(b, &head); err != nil || head.Format < 1 {
		return Manifest{}, abt2.Wrap(abt2.CodeInvalid, err, "its manifest is damaged")
	}
	if head.Format > Format {
		return Manifest{}, abt2.Errorf(abt2.CodeRefused, "it has format %d, written by abt2 %s; this is abt2 %s, which reads up to format %d: restore it with abt2 %s or a newer one",
			head.Format, head.Abt2, own, Format, head.Abt2)
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return Manifest{}, abt2.Wrap(abt2.CodeInvalid, err, "its manifest is damaged")
	}
	return m, m.check()
}

func (m Manifest) check() error {
	bad := func(format string, args ...any) error {
		return abt2.Errorf(abt2.CodeInvalid, "its manifest is not one that abt2 writes: %s", fmt.Sprintf(format, args...))
	}
	if len(m.Parts) == 0 || m.Parts[0].Name != StateName {
		return bad("the first part must be %s", StateName)
	}
	seen := map[string]bool{}
	for i, p := range m.Parts {
		switch {
		case seen[p.Name]:
			return bad("part %q is there twice", p.Name)
		case i > 0 && (!digestRule.MatchString(p.Artifact()) || p.Artifact() != p.SHA256):
			return bad("part %q is neither state nor artifact", p.Name)
		case !digestRule.MatchString(p.SHA256) || p.Size < 0:
			return bad("part %q has size %d, sha256 %q", p.Name, p.Size, p.SHA256)
		}
		seen[p.Name] = true
	}
	return nil
}
