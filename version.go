package abt2

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// VersionID is written module@number, as in order@3. Numbers of a module grow
// from 1; the zero VersionID is none.
type VersionID struct {
	Module ModuleName
	Number uint64
}

func (v VersionID) String() string {
	if v == (VersionID{}) {
		return ""
	}
	return string(v.Module) + "@" + strconv.FormatUint(v.Number, 10)
}

// IsZero reports whether v names nothing.
func (v VersionID) IsZero() bool { return v == VersionID{} }

// MarshalText writes module@number, or nothing for the zero VersionID.
func (v VersionID) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (v *VersionID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = VersionID{}
		return nil
	}
	id, err := ParseVersionID(string(b))
	if err == nil {
		*v = id
	}
	return err
}

// ParseVersionID reads module@number.
func ParseVersionID(s string) (VersionID, error) {
	name, num, ok := strings.Cut(s, "@")
	n, err := strconv.ParseUint(num, 10, 64)
	if !ok || err != nil || n == 0 || num[0] == '+' || num[0] == '0' {
		return VersionID{}, Errorf(CodeInvalid, "version %q: must be MODULE@NUMBER, like order@3", s)
	}
	if err := ModuleName(name).Validate(); err != nil {
		return VersionID{}, err
	}
	return VersionID{Module: ModuleName(name), Number: n}, nil
}

// ArtifactFormat says how an artifact is stored and run.
type ArtifactFormat string

// The formats of an artifact.
const (
	FormatExecutable ArtifactFormat = "executable"
	FormatTar        ArtifactFormat = "tar" // what a folder is uploaded as
	FormatTarGz      ArtifactFormat = "tar.gz"
	FormatZip        ArtifactFormat = "zip"
	FormatJar        ArtifactFormat = "jar" // .jar and .war: run by java -jar, never unpacked
)

// Artifact refers to one uploaded build by its content.
type Artifact struct {
	Digest string         `json:"digest"` // sha256 of the uploaded bytes, 64 hexadecimal digits
	Size   int64          `json:"size"`   // bytes
	Name   string         `json:"name"`   // the file or folder it came from, for people and for the executable's name
	Format ArtifactFormat `json:"format"`
}

// Version is one immutable build: an artifact and the configuration to run it
// with. Scale is not part of it. An external version has no artifact: its
// configuration says where it answers.
type Version struct {
	ID       VersionID `json:"id"`
	Digest   string    `json:"digest"` // sha256 over artifact digest and canonical configuration
	Artifact Artifact  `json:"artifact,omitzero"`
	Config   Config    `json:"config"`
	Created  time.Time `json:"created"` // for display
}

// VersionDigest is the content identity of a version: two puts of the same
// artifact with the same configuration are the same version.
func VersionDigest(artifact string, c Config) string {
	b, err := json.Marshal(struct {
		Artifact string
		Config   Config
	}{artifact, c}) // struct fields in order, map keys sorted: canonical
	if err != nil {
		panic(fmt.Sprintf("abt2: configuration cannot be encoded: %v", err)) // only strings, numbers and maps of them
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
