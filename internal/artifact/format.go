package artifact

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"

	"abt2.dev"
)

// tarBlock is the size of a tar file's header; no other format needs as much to be known.
const tarBlock = 512

// checkFormat compares an artifact's first bytes with the format it claims to have.
func checkFormat(a abt2.Artifact, r io.ReaderAt) error {
	head := make([]byte, tarBlock)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return abt2.Wrap(abt2.CodeFailed, err, "artifact %s: cannot be read", a.Name)
	}
	bad := func(must string) error {
		return abt2.Errorf(abt2.CodeInvalid, "artifact %s: format %s: %s", a.Name, a.Format, must)
	}
	switch a.Format {
	case abt2.FormatExecutable:
		if !hasPrefix(head[:n], executables) {
			return bad("is no program; it must be an ELF, Mach-O or PE file or begin with #!; other builds are put as a folder, .tar.gz, .zip, .jar or .war")
		}
	case abt2.FormatZip, abt2.FormatJar:
		if !hasPrefix(head[:n], zips) {
			return bad("is no zip file; build it again")
		}
	case abt2.FormatTarGz:
		// A gzip file whose content begins like a tar file.
		z, err := gzip.NewReader(io.NewSectionReader(r, 0, a.Size))
		if err != nil {
			return bad("is no gzip file; build it again")
		}
		if _, err := tar.NewReader(z).Next(); err != nil {
			return bad("is no tar file inside, or an empty one; build it again")
		}
	case abt2.FormatTar:
		// The first block may announce others that head does not hold.
		if _, err := tar.NewReader(bytes.NewReader(head)).Next(); n < len(head) || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return bad("is no tar file, or an empty one; build it again")
		}
	default:
		return abt2.Errorf(abt2.CodeInvalid, "artifact %s: format %q: must be %s, %s, %s, %s or %s", a.Name, a.Format,
			abt2.FormatExecutable, abt2.FormatTar, abt2.FormatTarGz, abt2.FormatZip, abt2.FormatJar)
	}
	return nil
}

var zips = []string{"PK\x03\x04", "PK\x05\x06"} // with entries, without

var executables = []string{
	"\x7fELF", "MZ", "#!",
	"\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", // Mach-O
	"\xca\xfe\xba\xbe", // Mach-O for several processors
}

func hasPrefix(b []byte, prefixes []string) bool {
	for _, p := range prefixes {
		if bytes.HasPrefix(b, []byte(p)) {
			return true
		}
	}
	return false
}
