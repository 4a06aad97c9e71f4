package artifact

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncTree makes all that was written below dir survive a power cut: one call
// for the whole filesystem, since an archive may have very many small files.
func syncTree(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}
