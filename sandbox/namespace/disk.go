//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/image"
)

// tmp is the /tmp of one sandbox: an image, or a directory where it has no limit or this host has no images.
type tmp struct {
	image *image.Image
	dir   string
}

func (d *Driver) hasTmpImage(spec *sandbox.Spec) bool {
	return spec.Limits.TmpBytes > 0 && d.images != nil
}

func (b *box) makeTmp(ctx context.Context, spec *sandbox.Spec) (err error) {
	if b.driver.hasTmpImage(spec) {
		return b.makeImage(ctx, spec.Limits.TmpBytes, spec.Limits.DiskBytesPerSecond)
	}
	b.tmp.dir, err = b.driver.state.makeTmp(b.id, b.driver.numbers.userID(b.number))
	return err
}

// makeImage makes an image of so many bytes, whose device is held to a rate.
func (b *box) makeImage(ctx context.Context, bytes, rate int64) (err error) {
	d := b.driver
	b.tmp.image, err = d.images.Make(ctx, bytes, d.numbers.userID(b.number), func(device string) error { return b.limitLate(device, rate) })
	if err != nil {
		return fmt.Errorf("sandbox: /tmp: %w", err)
	}
	return nil
}

// limitDisk holds a sandbox to its rate on its image and on the disks of everything that it sees. Code that is
// attached later is on the state directory's disk, as the rest of what a daemon keeps.
func (b *box) limitDisk(spec *sandbox.Spec) error {
	rate := spec.Limits.DiskBytesPerSecond
	if rate == 0 {
		return nil
	}
	d := b.driver
	sources := []string{d.state.dir, spec.Root.Dir}
	for _, bind := range slices.Concat(spec.Root.Binds, spec.Binds) {
		sources = append(sources, bind.Source)
	}
	devices, err := d.disks.of(sources)
	if err != nil {
		return err
	}
	if b.tmp.image != nil {
		devices = append(devices, b.tmp.image.Device())
	}
	for _, device := range devices {
		if err := b.group.LimitDisk(device, rate); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	return nil
}

// limitLate limits a device, whatever limit its last owner may have left on it.
func (b *box) limitLate(device string, rate int64) error {
	d := b.driver
	if !d.cgroups.LimitsLate() {
		return nil
	}
	if rate == 0 {
		return d.liftLate(device)
	}
	b.late = late{device, rate}
	if err := d.state.recordLate(b.number, b.late); err != nil {
		return err
	}
	if err := d.at(PointLate); err != nil {
		return err
	}
	if err := d.cgroups.LimitLate(device, rate); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// liftLate lifts whatever limit a device has.
func (d *Driver) liftLate(device string) error { return d.cgroups.LimitLate(device, 0) }

// closeTmp drops /tmp; the directory, if it is one, goes with the sandbox's own. The limit goes first: it would hold
// for whoever has the device next.
func (b *box) closeTmp() error {
	var failures []error
	if b.late.rate > 0 {
		var err error
		if b.tmp.image != nil {
			err = b.driver.liftLate(b.late.device) // it is still ours
		} else {
			err = b.driver.cgroups.LiftLate(b.late.device, b.late.rate)
		}
		if err == nil {
			err = b.driver.state.recordLate(b.number, late{})
		}
		failures = append(failures, err)
	}
	if b.tmp.image != nil {
		failures = append(failures, b.tmp.image.Close())
	}
	return errors.Join(failures...)
}

// disks finds the disks that directories are on.
type disks struct {
	mu    sync.Mutex
	known map[uint64]string // by the number of the file system's device; "" where it is on no single disk
}

// of lists the disks of files, each once, as control groups name them.
func (d *disks) of(paths []string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []string
	for _, path := range paths {
		var stat unix.Stat_t
		if err := unix.Stat(path, &stat); err != nil {
			return nil, fmt.Errorf("sandbox: %s: %w", path, err)
		}
		disk, known := d.known[stat.Dev]
		if !known {
			var err error
			if disk, err = diskOf(stat.Dev); err != nil {
				return nil, fmt.Errorf("sandbox: disk of %s: %w", path, err)
			}
			if d.known == nil {
				d.known = map[uint64]string{}
			}
			d.known[stat.Dev] = disk
		}
		if disk != "" && !slices.Contains(found, disk) {
			found = append(found, disk)
		}
	}
	return found, nil
}

// diskOf finds the disk of a file system's device, which may be a partition: only whole disks can be limited. File
// systems over several disks, in memory or over a network have numbers that sysfs does not know.
func diskOf(number uint64) (string, error) {
	name := fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number))
	real, err := filepath.EvalSymlinks("/sys/dev/block/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(real, "partition")); errors.Is(err, fs.ErrNotExist) {
		return name, nil
	}
	whole, err := os.ReadFile(filepath.Join(filepath.Dir(real), "dev"))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(whole)), nil
}
