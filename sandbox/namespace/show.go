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

// errNoImages refuses what has images where none can be mounted.
var errNoImages = fmt.Errorf("sandbox: images are not mounted here: %w", errors.ErrUnsupported)

// show makes a detached mount of what a path of the host has, or of what is in the image that it is: there are images
// only where they can be mounted.
func (m *mounts) show(source, target string, image bool) error {
	if !image {
		return m.add(source, target, readOnly)
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
