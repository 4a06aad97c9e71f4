package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) backupCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Save state and builds to a file",
		Long: `Saves the state as it is at one moment, and the builds that it names, to a file;
- is standard output. The server goes on working. The file is written beside its
place and moved there when it is whole; a file of that name is replaced.

It can be read by its owner alone, because it holds the tokens of sessions. The
operators' credential is not in it.`,
		Example: `  abt2 backup /var/backups/abt2.backup
  abt2 backup - | ssh store 'cat >abt2.backup'`,
		Args: exactly(1, "the FILE to write, or - for standard output"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" && a.out.terminal {
				return usage(cmd, "a backup is not for a terminal; name a FILE, or pipe it on")
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			if args[0] == "-" {
				return svc.Backup(cmd.Context(), a.out)
			}
			path, err := absolute(args[0])
			if err != nil {
				return err
			}
			s, err := saveBackup(cmd.Context(), svc, path)
			if err != nil {
				return err
			}
			if a.json {
				a.out.json(s)
				return nil
			}
			a.out.line("%s: %s, sha256 %s", s.File, bytesText(s.Size), s.SHA256)
			return nil
		},
	}
	a.jsonFlag(c)
	return c
}

// saved is a backup that has been written.
type saved struct {
	File   string `json:"file"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// saveBackup writes a backup to a file that is there whole or as before.
func saveBackup(ctx context.Context, svc abt2.Service, path string) (s saved, err error) {
	bad := func(err error) error {
		return abt2.Wrap(abt2.CodeFailed, err, "backup %s: cannot be written; make its folder writable and its disk not full, or name another file", path)
	}
	partial := path + ".partial"
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return s, bad(err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(partial)
		}
	}()
	if err := f.Chmod(0o600); err != nil { // it may be left from before
		return s, bad(err)
	}
	sum, out := sha256.New(), flushAlong(f)
	err = errors.Join(svc.Backup(ctx, io.MultiWriter(out, sum)), out.wait())
	var known *abt2.Error
	switch pathError := new(os.PathError); {
	case errors.As(err, &pathError) && pathError.Path == partial:
		return s, bad(pathError.Err)
	case errors.As(err, &known):
		return s, abt2.Wrap(known.Code, known.Cause, "%s; nothing was saved", known.Message)
	case err != nil:
		return s, err
	}
	info, err := f.Stat()
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(partial, path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return s, bad(err)
	}
	return saved{path, info.Size(), hex.EncodeToString(sum.Sum(nil))}, nil
}

// syncFolder makes the names in a folder survive a power cut.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
