//go:build linux && (amd64 || arm64)

package namespace

import (
	"errors"
	"fmt"

	"hotaru/sandbox"
)

var _ sandbox.ImageMounter = (*Driver)(nil)

// MountsImages says whether this host can mount EROFS images, as probed by New.
func (d *Driver) MountsImages() bool { return d.erofs != nil }

// show makes a detached mount of what a path of the host has, or of what is in the image that it is.
func (m *mounts) show(source, target string, image bool) error {
	if !image {
		return m.add(source, target, readOnly)
	}
	if m.erofs == nil {
		return fmt.Errorf("sandbox: %s: images are not mounted here: %w", source, errors.ErrUnsupported)
	}
	used, err := m.erofs.Use(source)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	m.images = append(m.images, used)
	tree, err := used.Tree()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	m.take(tree, target)
	return nil
}

// keep makes the images of mounts the sandbox's, until it is removed: whoever starts one of the same meanwhile shares
// them.
func (b *box) keep(m *mounts) {
	b.images = append(b.images, m.images...)
	m.images = nil
}
