package sandbox

import "slices"

// ImageMounter is a Driver that may be able to show what is in an EROFS image file: Root.Image and Bind.Image. Every other
// one answers errors.ErrUnsupported to a Spec or Attach that has them.
type ImageMounter interface {
	// MountsImages says whether the driver can on this host.
	MountsImages() bool
}

// MountsImages says whether a driver shows what is in EROFS images here.
func MountsImages(d Driver) bool {
	mounter, ok := d.(ImageMounter)
	return ok && mounter.MountsImages()
}

// UsesImages says whether anything in the spec is an image.
func (s *Spec) UsesImages() bool {
	return s.Root.Image || UseImages(s.Root.Binds) || UseImages(s.Binds)
}

// UseImages says whether any of the binds is of an image.
func UseImages(binds []Bind) bool {
	return slices.ContainsFunc(binds, func(b Bind) bool { return b.Image })
}
