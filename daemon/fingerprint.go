package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// fingerprint says where a data directory is and what it was: machine, device,
// inode and path. A copy, a restored backup and a moved disk have another one.
func fingerprint(dir string) (string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", err
	}
	device, inode := uint64(0), uint64(0)
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		device, inode = uint64(s.Dev), s.Ino
	}
	return fmt.Sprintf("%s device %d inode %d path %s", machineID(), device, inode, real), nil
}

// machineID names the machine. Where nothing does, the boot does: then a chain
// ends with every reboot, which is safe.
func machineID() string {
	for _, f := range []struct{ kind, file string }{
		{"machine", "/etc/machine-id"},
		{"boot", "/proc/sys/kernel/random/boot_id"},
	} {
		text, err := os.ReadFile(f.file)
		if id := strings.TrimSpace(string(text)); err == nil && id != "" && id != "uninitialized" {
			return f.kind + " " + id
		}
	}
	return "machine unknown, process " + fmt.Sprint(os.Getpid())
}
