package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Source is where an image is: a path, or a reference to a registry.
type Source struct {
	text string
	// reference is nil for a path.
	reference name.Reference
}

// ParseSource reads what users write. What starts with "/" or "." is a path, of a directory in OCI's image layout or
// of a tar file as docker save writes it; anything else is a registry's reference, as docker pull takes it.
func ParseSource(text string) (Source, error) {
	if strings.HasPrefix(text, "/") || strings.HasPrefix(text, ".") {
		path, err := filepath.Abs(text)
		return Source{text: path}, err
	}
	reference, err := name.ParseReference(text)
	if err != nil {
		return Source{}, fmt.Errorf("image: %q is neither a path that starts with / or . nor a reference: %w", text, err)
	}
	return Source{text: text, reference: reference}, nil
}

// String is what ParseSource took; a path is absolute.
func (s Source) String() string { return s.text }

// platform is the one whose images run here.
func platform() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

// found is an image that a source has.
type found struct {
	v1.Image
	// checked says that nothing vouches for the image but its configuration, so that there is no manifest to check: a
	// tar file has none of its own.
	noManifest bool
	// unreachable is why a registry did not answer; there is no image then.
	unreachable error
}

// find opens what a source has for this platform. Layers are read later.
func (s Source) find(ctx context.Context, transport http.RoundTripper, keychain authn.Keychain) (found, error) {
	if s.reference != nil {
		img, err := remote.Image(s.reference, remote.WithContext(ctx), remote.WithTransport(transport),
			remote.WithAuthFromKeychain(keychain), remote.WithPlatform(platform()))
		return found{Image: img}, err
	}
	info, err := os.Stat(s.text)
	if err != nil {
		return found{}, err
	}
	if !info.IsDir() {
		img, err := tarball.ImageFromPath(s.text, nil)
		return found{Image: img, noManifest: true}, err
	}
	index, err := layout.ImageIndexFromPath(s.text)
	if errors.Is(err, fs.ErrNotExist) {
		return found{}, errors.New("the directory is no OCI image layout: it has no index.json")
	}
	if err != nil {
		return found{}, err
	}
	img, err := fromIndex(index, maxIndexDepth)
	return found{Image: img}, err
}

// maxIndexDepth is how many indexes may lead to an image.
const maxIndexDepth = 4

// fromIndex returns the one image of an index that is for this platform, or says nothing of its platform.
func fromIndex(index v1.ImageIndex, depth int) (v1.Image, error) {
	if depth == 0 {
		return nil, errors.New("its indexes lead on and on")
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var images []v1.Image
	for _, d := range manifest.Manifests {
		if d.Platform != nil && (d.Platform.OS != platform().OS || d.Platform.Architecture != platform().Architecture) {
			continue
		}
		switch {
		case d.MediaType.IsImage():
			img, err := index.Image(d.Digest)
			if err != nil {
				return nil, err
			}
			images = append(images, img)
		case d.MediaType.IsIndex():
			nested, err := index.ImageIndex(d.Digest)
			if err != nil {
				return nil, err
			}
			img, err := fromIndex(nested, depth-1)
			if err != nil {
				return nil, err
			}
			images = append(images, img)
		}
	}
	if len(images) != 1 {
		return nil, fmt.Errorf("it has %d images for %s instead of one", len(images), platform())
	}
	return images[0], nil
}
