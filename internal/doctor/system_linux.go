package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// filesystems are those that matter by their numbers (statfs(2)).
var filesystems = map[int64]struct {
	name   string
	remote bool
}{
	unix.EXT4_SUPER_MAGIC: {"ext4", false}, unix.XFS_SUPER_MAGIC: {"xfs", false}, unix.BTRFS_SUPER_MAGIC: {"btrfs", false},
	unix.TMPFS_MAGIC: {"tmpfs, which forgets everything when the machine ends", false}, unix.OVERLAYFS_SUPER_MAGIC: {"overlayfs", false},
	unix.NFS_SUPER_MAGIC: {"nfs", true}, unix.SMB_SUPER_MAGIC: {"smb", true}, unix.SMB2_SUPER_MAGIC: {"smb", true}, unix.CIFS_SUPER_MAGIC: {"cifs", true},
	unix.V9FS_MAGIC: {"9p", true}, unix.FUSE_SUPER_MAGIC: {"fuse", true}, unix.CEPH_SUPER_MAGIC: {"ceph", true}, unix.AFS_SUPER_MAGIC: {"afs", true},
}

func filesystemOf(dir string) (name string, remote bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "which cannot be told", false
	}
	if f, ok := filesystems[int64(st.Type)]; ok {
		return f.name, f.remote
	}
	return fmt.Sprintf("filesystem %#x", st.Type), false
}

func ephemeralPorts() (lo, hi int, known bool) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, 0, false
	}
	n, err := fmt.Sscan(string(b), &lo, &hi)
	return lo, hi, err == nil && n == 2
}

// synchronised tells whether the kernel believes that its clock is kept right
// (adjtimex(2)).
func synchronised() (right, known bool) {
	state, err := unix.Adjtimex(&unix.Timex{})
	return state != unix.TIME_ERROR, err == nil
}

// system: processes can be told apart, which takes /proc.
func system(*Subject) []Finding {
	const name = "kernel"
	const remedy = "mount /proc for the user that abt2 runs as: mount -t proc proc /proc"
	for _, path := range []string{"/proc/self/stat", "/proc/sys/kernel/random/boot_id", "/proc/net/tcp"} {
		if _, err := os.ReadFile(path); err != nil {
			return fail(name, remedy, "%v", err)
		}
	}
	if list, err := filepath.Glob("/proc/[0-9]*"); err != nil || len(list) == 0 {
		return fail(name, remedy, "/proc names no processes")
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return warn(name, remedy, "the kernel does not tell its version: %v", err)
	}
	return ok(name, "Linux %s", strings.TrimRight(string(u.Release[:]), "\x00"))
}
