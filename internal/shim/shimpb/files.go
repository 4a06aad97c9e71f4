// Package shimpb is what a server and the shims of its instances have in
// common: the calls of abt2.shim.v1 and the files of an instance's folder.
package shimpb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Protocol is the version of specs and calls that this build speaks.
const Protocol = 1

// The files of an instance's folder. Only the server writes the spec, only the
// shim that holds the lock writes the identity and the names.
const (
	SpecFile     = "spec.json"
	IdentityFile = "shim.json"
	NamesFile    = "names.json" // what the shim was last asked to hold; absent: nothing ever
	LockFile     = "lock"
	ShimLog      = "shim.log" // what the shim itself has to say
	LogsDir      = "logs"     // what the instance printed
	logName      = "out.log"
)

// ReadSpec reads the spec of an instance's folder. An absent one is fs.ErrNotExist.
func ReadSpec(dir string) (*Spec, error) {
	s := &Spec{}
	return s, read(filepath.Join(dir, SpecFile), s)
}

// WriteSpec replaces the spec of an instance's folder; it is there, whole and
// durable, when WriteSpec returns without an error.
func WriteSpec(dir string, s *Spec) error { return write(dir, SpecFile, s) }

// ReadIdentity reads who kept the instance last. An absent one is fs.ErrNotExist.
func ReadIdentity(dir string) (*Identity, error) {
	id := &Identity{}
	return id, read(filepath.Join(dir, IdentityFile), id)
}

// WriteIdentity replaces the identity as WriteSpec does the spec.
func WriteIdentity(dir string, id *Identity) error { return write(dir, IdentityFile, id) }

// ReadNames reads what the shim was last asked to hold. An absent one is fs.ErrNotExist.
func ReadNames(dir string) (*Names, error) {
	n := &Names{}
	return n, read(filepath.Join(dir, NamesFile), n)
}

// WriteNames replaces the names as WriteSpec does the spec.
func WriteNames(dir string, n *Names) error { return write(dir, NamesFile, n) }

func read(path string, m proto.Message) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, m); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func write(dir, name string, m proto.Message) error {
	b, err := protojson.MarshalOptions{Multiline: true}.Marshal(m)
	if err != nil {
		return err
	}
	return WriteFile(filepath.Join(dir, name), append(b, '\n'))
}

// WriteFile replaces a file, readable by its owner only, so that whoever reads
// it after a crash finds the old content or the new.
func WriteFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes what was created, renamed or removed in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// LogPath returns the file that an instance's output is written to, and with
// n > 0 the n-th youngest of those rotated away.
func LogPath(dir string, n int) string {
	p := filepath.Join(dir, LogsDir, logName)
	if n > 0 {
		p += "." + strconv.Itoa(n)
	}
	return p
}

// LogFiles lists an instance's log files, the oldest first.
func LogFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, LogsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), logName)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(strings.TrimPrefix(rest, "."))
		if rest != "" && err != nil {
			continue
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	var out []string
	for _, n := range numbers {
		out = append(out, LogPath(dir, n))
	}
	return out, nil
}
