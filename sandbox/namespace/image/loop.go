//go:build linux

package image

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// loops attaches files to loop devices (loop(4)).
type loops struct {
	control *os.File
	mu      sync.Mutex // from asking for a free device to taking it
}

// device is a loop device that is attached to a file as long as anybody has it open or mounted.
type device struct {
	*os.File
	number int
}

// maxTries bounds how often another process may be faster to take the device that was free.
const maxTries = 100

func openLoops() (*loops, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("image: loop devices: %w", err)
	}
	return &loops{control: control}, nil
}

func (l *loops) close() error { return l.control.Close() }

// attach attaches a file to a free device, past the page cache where the disk allows that: the data would be in
// memory twice.
func (l *loops) attach(file *os.File) (*device, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	config := unix.LoopConfig{Fd: uint32(file.Fd()), Size: blockSize}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
	for range maxTries {
		number, err := unix.IoctlRetInt(int(l.control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("image: no free loop device: %w", err)
		}
		opened, err := os.OpenFile("/dev/loop"+strconv.Itoa(number), os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("image: loop device: %w", err)
		}
		err = unix.IoctlLoopConfigure(int(opened.Fd()), &config)
		if err == nil {
			return &device{opened, number}, nil
		}
		opened.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("image: attach loop device %d: %w", number, err)
		}
	}
	return nil, errors.New("image: others take every free loop device first")
}
