//go:build linux

package detached

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Loops attaches files to loop devices (loop(4)). It is safe for concurrent use.
type Loops struct {
	control *os.File
	mu      sync.Mutex // from asking for a free device to taking it; guards the rest
	next    int        // is likely to be free: the one after the last
}

// Device is a loop device that is attached to a file as long as anybody has it open or mounted.
type Device struct {
	*os.File
	// Number is N of /dev/loopN.
	Number int
}

// blockSize is the device's, in bytes.
const blockSize = 4096

// maxTries bounds how often another process may be faster to take the device that was free.
const maxTries = 100

// OpenLoops opens what hands out loop devices. Close it.
func OpenLoops() (*Loops, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("mount: loop devices: %w", err)
	}
	return &Loops{control: control}, nil
}

// Close closes it. Devices stay attached.
func (l *Loops) Close() error { return l.control.Close() }

// Attach attaches a file to a free device: past the page cache where the disk allows that, because the data would be in
// memory twice, or, readOnly, through it, because what is read of the file was written just now, or will be read again.
func (l *Loops) Attach(file *os.File, readOnly bool) (*Device, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	config := unix.LoopConfig{Fd: uint32(file.Fd()), Size: blockSize}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
	mode := unix.O_RDWR
	if readOnly {
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_READ_ONLY
		mode = unix.O_RDONLY
	}
	// The kernel looks at every device there is to find a free one.
	if l.next > 0 {
		if device, err := attach(l.next, mode, &config); err == nil {
			l.next++
			return device, nil
		}
	}
	for range maxTries {
		number, err := unix.IoctlRetInt(int(l.control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("mount: no free loop device: %w", err)
		}
		device, err := attach(number, mode, &config)
		if err == nil {
			l.next = number + 1
			return device, nil
		}
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("mount: loop device %d: %w", number, err)
		}
	}
	return nil, errors.New("mount: others take every free loop device first")
}

// attach attaches a device if it is free.
func attach(number, mode int, config *unix.LoopConfig) (*Device, error) {
	name := "/dev/loop" + strconv.Itoa(number)
	fd, err := unix.Open(name, mode|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlLoopConfigure(fd, config); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &Device{os.NewFile(uintptr(fd), name), number}, nil
}
