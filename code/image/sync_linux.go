package image

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncAll brings a directory with everything in it to the disk: all of its file system in one call, because a root may
// have a hundred thousand files.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}
