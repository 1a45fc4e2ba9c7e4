//go:build linux && (amd64 || arm64)

package namespace

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/erofs"
)

// mounts collects detached mounts, made here with the host's privilege, to be moved into place by stage-1, which
// has none outside. So stage-1 needs no way to the host's directories, whatever their modes.
type mounts struct {
	targets []string // of files[1:]; files[0] is the root
	files   []*os.File
	erofs   *erofs.Mounter // nil: no images
	// images are those that files show: keep takes them over.
	images []*erofs.Image
}

const readOnly = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// add makes a detached copy of the mount at a path of the host.
func (m *mounts) add(source, target string, attributes uint64) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("sandbox: mount %s: %w", source, err)
	}
	m.take(os.NewFile(uintptr(fd), source), target)
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attributes, Propagation: unix.MS_PRIVATE})
	if err != nil {
		return fmt.Errorf("sandbox: mount %s: %w", source, err)
	}
	return nil
}

// take adds a mount that is detached already.
func (m *mounts) take(tree *os.File, target string) {
	m.files = append(m.files, tree)
	m.targets = append(m.targets, target)
}

func (m *mounts) addBinds(binds []sandbox.Bind) error {
	for _, bind := range binds {
		if err := m.show(bind.Source, bind.Target, bind.Image); err != nil {
			return err
		}
	}
	return nil
}

// close drops what was not moved. The mounts that were stay; so do images that were kept.
func (m *mounts) close() {
	for _, image := range m.images {
		image.Release()
	}
	for _, file := range m.files {
		file.Close()
	}
}

// mountsFor makes all mounts of a sandbox, in the order in which they go over each other; dev makes those at /dev.
func (d *Driver) mountsFor(spec *sandbox.Spec, tmp tmp, dev func(*mounts) error) (*mounts, error) {
	m := &mounts{erofs: d.erofs}
	err := func() error {
		if spec.Root.Dir == "" {
			return errors.New("sandbox: this driver needs a root directory")
		}
		if err := m.show(spec.Root.Dir, "/", spec.Root.Image); err != nil {
			return err
		}
		if err := m.addBinds(spec.Root.Binds); err != nil {
			return err
		}
		if err := dev(m); err != nil {
			return err
		}
		if err := m.addTmp(tmp); err != nil {
			return err
		}
		return m.addBinds(spec.Binds)
	}()
	if err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *mounts) addTmp(tmp tmp) error {
	if tmp.image == nil {
		return m.add(tmp.dir, "/tmp", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	}
	tree, err := tmp.image.Tree()
	if err != nil {
		return fmt.Errorf("sandbox: /tmp: %w", err)
	}
	m.take(tree, "/tmp")
	return nil
}

// addDevices adds what a sandbox has at /dev.
func (s *state) addDevices(m *mounts) error {
	if err := m.add(s.path("dev"), "/dev", readOnly|unix.MOUNT_ATTR_NOEXEC); err != nil {
		return err
	}
	for _, device := range devices {
		if err := m.add("/dev/"+device, "/dev/"+device, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC); err != nil {
			return err
		}
	}
	return nil
}

// addHouseDevices adds what the devices of a housing's containers go over.
func (s *state) addHouseDevices(m *mounts) error {
	return m.add(s.path(houseDev), "/dev", readOnly|unix.MOUNT_ATTR_NOEXEC)
}
