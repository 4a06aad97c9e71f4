package haproxy

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"abt2.dev"
)

// note is what HAProxy keeps for us beside the routes it acts on: which routes
// they were made of, so that they can be read back with their mark and with
// what a gateway has no use for, and which configuration went with them.
type note struct {
	Routes abt2.EdgeRoutes `json:"routes"`
	Config string          `json:"config"` // sha256 of the configuration file
}

// notePart bounds an entry of the map: commands must fit into HAProxy's buffer
// of 16 KiB.
const notePart = 4 << 10

// maxNote bounds what is unpacked of a map that somebody else may have written.
const maxNote = 64 << 20

func noteKey(i int) string { return fmt.Sprintf("%s%06d", keyNote, i) }

// put adds the note to the entries of a map.
func (n note) put(entries map[string]string) error {
	b, err := json.Marshal(n)
	if err != nil {
		return abt2.Wrap(abt2.CodeInternal, err, "routes cannot be encoded")
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(b); err != nil {
		return abt2.Wrap(abt2.CodeInternal, err, "routes cannot be packed")
	}
	if err := z.Close(); err != nil {
		return abt2.Wrap(abt2.CodeInternal, err, "routes cannot be packed")
	}
	text := base64.RawStdEncoding.EncodeToString(packed.Bytes())
	for i := 0; len(text) > 0; i++ {
		part := text[:min(notePart, len(text))]
		entries[noteKey(i)] = part
		text = text[len(part):]
	}
	return nil
}

// noteOf returns the note in the entries of a map; false: there is none that
// can be read.
func noteOf(entries map[string]string) (n note, ok bool) {
	var text strings.Builder
	for i := 0; ; i++ {
		part, ok := entries[noteKey(i)]
		if !ok {
			break
		}
		text.WriteString(part)
	}
	packed, err := base64.RawStdEncoding.DecodeString(text.String())
	if err != nil || len(packed) == 0 {
		return n, false
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return n, false
	}
	b, err := io.ReadAll(io.LimitReader(z, maxNote))
	if err != nil || json.Unmarshal(b, &n) != nil {
		return note{}, false
	}
	return n, true
}
