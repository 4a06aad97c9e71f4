package server

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"abt2.dev"
)

// folderFormat is the layout of data folders that this abt2 writes and reads.
// It grows when an older abt2 must not work on what a newer one has left:
// records have their own schema beside it, in the store.
const folderFormat = 1

// The files that say what a data folder is.
const (
	formatFile  = "format.json"
	restoreFile = "restore.unfinished" // there while a restore puts its parts in place
)

// format says what a data folder is.
type format struct {
	Format       int    `json:"format"`
	Abt2         string `json:"abt2"`         // the version that made it
	Installation string `json:"installation"` // random, made with the folder
}

// readFormat reads what a data folder is; the zero format means that nothing
// says so. It returns CodeRefused for one that a newer abt2 has made.
func readFormat(dir, own string) (format, error) {
	path := filepath.Join(dir, formatFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return format{}, nil
	}
	var f format
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	switch {
	case err != nil:
		return format{}, abt2.Wrap(abt2.CodeFailed, err, "%s: cannot be read, so what the data folder is cannot be known; make it readable for its owner, or put it back from a copy", path)
	case f.Format > folderFormat:
		return f, abt2.Errorf(abt2.CodeRefused, "data folder %s: has format %d, made by abt2 %s; this is abt2 %s, which knows up to format %d: use abt2 %s or a newer one, or choose another folder with --data",
			dir, f.Format, f.Abt2, own, folderFormat, f.Abt2)
	case f.Format < 1 || f.Installation == "":
		return format{}, abt2.Errorf(abt2.CodeFailed, "%s: is damaged, so what the data folder is cannot be known; put it back from a copy", path)
	}
	return f, nil
}

// openFolder makes sure, before anything in it is touched, that this abt2 may
// work on the data folder.
func openFolder(dir, own string) error {
	if _, err := readFormat(dir, own); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, restoreFile)); err == nil {
		return abt2.Errorf(abt2.CodeRefused, "data folder %s: a restore was cut off while it put its parts in place; repeat it: abt2 restore FILE --data=%s --force", dir, dir)
	}
	return nil
}

// claimFolder says what the data folder is where nothing does yet. The caller
// holds its lock.
func claimFolder(dir, own string) (format, error) {
	f, err := readFormat(dir, own)
	if err != nil || f.Format > 0 {
		return f, err
	}
	f = format{Format: folderFormat, Abt2: own, Installation: rand.Text()}
	return f, f.write(dir)
}

func (f format) write(dir string) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(dir, formatFile), append(b, '\n')); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "data folder %s: cannot be written; make it writable for its owner and its disk not full, or choose another with --data", dir)
	}
	return nil
}
