package artifact

import (
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"abt2.dev"
)

// limits bound what an archive may become.
type limits struct {
	bytes int64
	files int
}

// longestName bounds an entry's name in bytes, as systems do.
const longestName = 4096

// unpacker writes the entries of one archive into a folder, and nowhere else:
// all names go through an os.Root.
type unpacker struct {
	root    *os.Root
	name    string // of the archive, for messages
	max     limits
	written int64
	links   []entry             // made last, so that nothing is written through them
	folders map[string]struct{} // made so far; false: implied by another entry's name
	seen    map[string]struct{} // entries, so that none appears twice
}

// unpackTo fills an empty folder; on an error what is in it is of no use.
func unpackTo(dir string, entries iter.Seq2[entry, error], max limits, name string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacker{root: root, name: name, max: max, folders: map[string]struct{}{}, seen: map[string]struct{}{}}
	for e, err := range entries {
		if err != nil {
			return damaged(name, err)
		}
		if err := u.add(e); err != nil {
			return err
		}
	}
	if len(u.seen) == 0 {
		return abt2.Errorf(abt2.CodeInvalid, "artifact %s: has nothing in it; build it again", name)
	}
	if err := u.makeLinks(); err != nil {
		return err
	}
	// A folder's mode comes last, or nothing could be put into it.
	for f := range u.folders {
		if err := root.Chmod(f, 0o500); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) bad(e entry, rule string) error {
	return abt2.Errorf(abt2.CodeInvalid, "artifact %s: entry %q: %s", u.name, e.name, rule)
}

func (u *unpacker) add(e entry) error {
	at, err := u.place(e)
	if err != nil || at == "." {
		return err
	}
	if _, twice := u.seen[at]; twice && e.kind != kindFolder {
		return u.bad(e, "appears twice; build the archive again")
	}
	u.seen[at] = struct{}{}
	if len(u.seen)+len(u.folders) > u.max.files {
		return u.bad(e, "is one too many: an archive may have "+strconv.Itoa(u.max.files)+" entries; leave out what is not needed to run")
	}
	switch e.kind {
	case kindFolder:
		return u.folder(e, at)
	case kindFile:
		if err := u.folder(e, path.Dir(at)); err != nil {
			return err
		}
		return u.file(e, at)
	case kindSymlink, kindHardLink:
		if err := u.folder(e, path.Dir(at)); err != nil {
			return err
		}
		e.link = strings.TrimSuffix(e.link, "/")
		u.links = append(u.links, e)
		return nil
	}
	return u.bad(e, "is neither file, folder nor link; leave it out")
}

// place returns the entry's clean name inside the folder.
func (u *unpacker) place(e entry) (string, error) {
	at := path.Clean(e.name)
	switch {
	case e.name == "" || strings.ContainsAny(e.name, "\\\x00"):
		return "", u.bad(e, "is no name that every system understands; use / between folders")
	case len(e.name) > longestName:
		e.name = e.name[:40] + "…"
		return "", u.bad(e, "has a name of more than "+strconv.Itoa(longestName)+" bytes; make it shorter")
	case path.IsAbs(e.name):
		return "", u.bad(e, "is an absolute path; put files below the archive's own root")
	case strings.Contains("/"+e.name+"/", "/../") || !filepath.IsLocal(at):
		return "", u.bad(e, "leaves the folder; names must not contain ..")
	}
	return at, nil
}

// folder makes a folder and those above it.
func (u *unpacker) folder(e entry, at string) error {
	if _, made := u.folders[at]; made || at == "." {
		return nil
	}
	if err := u.folder(e, path.Dir(at)); err != nil {
		return err
	}
	if err := u.root.Mkdir(at, 0o700); errors.Is(err, fs.ErrExist) {
		return u.bad(e, "a file of the same name as its folder is in the archive; build it again")
	} else if err != nil {
		return u.disk(e, err)
	}
	u.folders[at] = struct{}{}
	return nil
}

func (u *unpacker) file(e entry, at string) error {
	mode := fs.FileMode(0o400)
	if e.exec {
		mode = 0o500
	}
	f, err := u.root.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return u.bad(e, "appears twice; build the archive again")
	}
	if err != nil {
		return u.disk(e, err)
	}
	to := &diskWriter{w: f}
	n, err := io.Copy(to, io.LimitReader(e.body, u.max.bytes-u.written+1))
	u.written += n
	if closed := f.Close(); err == nil && closed != nil {
		to.err, err = closed, closed
	}
	switch {
	case to.err != nil:
		return u.disk(e, to.err)
	case err != nil:
		return damaged(u.name+": entry "+e.name, err)
	case u.written > u.max.bytes:
		return u.bad(e, "makes the archive larger than "+strconv.FormatInt(u.max.bytes, 10)+" bytes unpacked; leave out what is not needed to run")
	}
	return nil
}

// makeLinks makes the links and then follows each of them, since a link may
// lead outside by way of another.
func (u *unpacker) makeLinks() error {
	for _, e := range u.links {
		at, err := u.place(e)
		if err != nil {
			return err
		}
		if e.kind == kindHardLink {
			err = u.hardLink(e, at)
		} else {
			err = u.symlink(e, at)
		}
		if err != nil {
			return err
		}
	}
	for _, e := range u.links {
		if e.kind != kindSymlink {
			continue
		}
		if _, err := u.root.Stat(path.Clean(e.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return u.bad(e, "links to "+e.link+", which leaves the folder or leads in a circle; put what it leads to into the archive")
		}
	}
	return nil
}

func (u *unpacker) symlink(e entry, at string) error {
	if e.link == "" || path.IsAbs(e.link) || strings.ContainsAny(e.link, "\\\x00") || !filepath.IsLocal(path.Join(path.Dir(at), e.link)) {
		return u.bad(e, "links to "+e.link+", which is outside the folder; put what it leads to into the archive")
	}
	return u.made(e, u.root.Symlink(e.link, at))
}

func (u *unpacker) hardLink(e entry, at string) error {
	to, err := u.place(entry{name: e.link})
	if err != nil {
		return u.bad(e, "links to "+e.link+", which is outside the folder; put what it leads to into the archive")
	}
	if info, err := u.root.Lstat(to); err != nil || !info.Mode().IsRegular() {
		return u.bad(e, "links to "+e.link+", which is no file in the archive; build it again")
	}
	return u.made(e, u.root.Link(to, at))
}

func (u *unpacker) made(e entry, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return u.bad(e, "appears twice; build the archive again")
	}
	if err != nil {
		return u.disk(e, err)
	}
	return nil
}

// disk says at which entry the disk did not play along.
func (u *unpacker) disk(e entry, err error) error {
	return &fs.PathError{Op: "unpack", Path: e.name, Err: err}
}
