package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// folder: it is a folder, and its owner's alone, because tokens lie in it.
func folder(s *Subject) []Finding {
	const name = "folder"
	if len(s.Folder) > s.MaxPath {
		return fail(name, "choose a shorter path with --data", "%s is %d bytes long, and sockets in it need it to be at most %d", s.Folder, len(s.Folder), s.MaxPath)
	}
	info, err := os.Stat(s.Folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ok(name, "%s does not exist; abt2 server makes it", s.Folder)
	case err != nil:
		return fail(name, "make it readable for its owner, or choose another with --data", "%v", err)
	case !info.IsDir():
		return fail(name, "choose another with --data", "%s is not a folder", s.Folder)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fail(name, fmt.Sprintf("run abt2 as that user, or chown -R %d %s", os.Geteuid(), s.Folder), "%s belongs to user %d, and abt2 runs as %d", s.Folder, st.Uid, os.Geteuid())
	}
	if info.Mode().Perm()&0o077 != 0 {
		return warn(name, "chmod 700 "+s.Folder, "%s is open to others (%v)", s.Folder, info.Mode().Perm())
	}
	return ok(name, "%s, for its owner alone", s.Folder)
}

func format(s *Subject) []Finding {
	const name = "format"
	if s.Format != nil {
		return fail(name, "as it says", "%v", s.Format)
	}
	return ok(name, "the folder is one for this abt2")
}

// place is the folder, or the nearest one above it that exists.
func place(s *Subject) string {
	for dir := s.Folder; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
	}
}

// writable: a file can be written and locked there.
func writable(s *Subject) []Finding {
	const name = "writable"
	dir := place(s)
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err == nil {
		defer os.Remove(f.Name())
		defer f.Close()
		if _, err = f.Write(make([]byte, 4096)); err == nil {
			err = f.Sync()
		}
	}
	switch {
	case errors.Is(err, syscall.EROFS):
		return fail(name, "mount it writable (mount -o remount,rw), or choose another with --data", "%s is on a read-only disk", dir)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fail(name, "free some space", "the disk of %s is full", dir)
	case err != nil:
		return fail(name, "make it writable for the user that abt2 runs as, or choose another with --data", "%v", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fail(name, "choose a folder on a local disk with --data", "files in %s cannot be locked: %v", dir, err)
	}
	return ok(name, "files can be written and locked in %s", dir)
}

// Free space below which a disk is too small to go on, or soon will be.
const (
	tooLittle = 64 << 20
	little    = 1 << 30
)

func space(s *Subject) []Finding {
	const name = "disk"
	var st unix.Statfs_t
	if err := unix.Statfs(place(s), &st); err != nil {
		return warn(name, "look with df", "free space cannot be told: %v", err)
	}
	free, of := uint64(st.Bavail)*uint64(st.Bsize), uint64(st.Blocks)*uint64(st.Bsize)
	const remedy = "free some space: abt2 clean removes old builds; move backups elsewhere"
	detail := fmt.Sprintf("%d MiB of %d MiB are free", free>>20, of>>20)
	switch {
	case free < tooLittle:
		return fail(name, remedy, "%s", detail)
	case free < little:
		return warn(name, remedy, "%s", detail)
	}
	return ok(name, "%s", detail)
}

// filesystem: locks and sockets mean something only on a local disk.
func filesystem(s *Subject) []Finding {
	const name = "filesystem"
	kind, remote := filesystemOf(place(s))
	if remote {
		return warn(name, "choose a folder on a local disk with --data", "%s is on %s: locks there may not keep two servers apart, and writes may be slow", s.Folder, kind)
	}
	return ok(name, "%s", kind)
}

func secrets(s *Subject) []Finding {
	const name = "credentials"
	var out []Finding
	found := 0
	for _, path := range s.Secrets {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			out = append(out, fail(name, "make it readable for its owner", "%v", err)...)
		case info.Mode().Perm()&0o077 != 0:
			out = append(out, fail(name, "chmod 600 "+path+"; if others may have read it, remove it and start the server, which makes another", "%s is open to others (%v)", path, info.Mode().Perm())...)
		}
		found++
	}
	if len(out) == 0 {
		return ok(name, "%d, for their owner alone", found)
	}
	return out
}
