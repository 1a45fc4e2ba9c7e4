//go:build linux && (amd64 || arm64)

package namespace

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// bin holds stage-1 where `make build` has put it there.
//
//go:embed all:bin
var bin embed.FS

// embedded is the init program for this architecture.
func embedded() ([]byte, error) {
	image, err := bin.ReadFile("bin/stage1-linux-" + runtime.GOARCH)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoStage1
	}
	return image, err
}

// seal puts a program into memory where nobody, root included, can change it any more: whoever gets hold of
// /proc/<pid>/exe has a file that cannot be written.
func seal(image []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("stage1", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3: executable by default
		fd, err = unix.MemfdCreate("stage1", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("sandbox: memfd: %w", err)
	}
	file := os.NewFile(uintptr(fd), "stage1")
	if _, err := file.Write(image); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: memfd: %w", err), file.Close())
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	_, err = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, seals|unix.F_SEAL_EXEC)
	if err == unix.EINVAL {
		_, err = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: seal memfd: %w", err), file.Close())
	}
	return file, nil
}
