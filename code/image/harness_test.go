package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// entries are a layer, in this order.
type entries []tar.Header

func dir(name string, mode int64) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode}
}

// file is a file whose content is its own name and what is given.
func file(name, content string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content)), Linkname: content}
}

func link(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}
}

func hard(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}
}

// archive is the tar file of a layer.
func archive(t testing.TB, layer entries) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, header := range layer {
		content := ""
		if header.Typeflag == tar.TypeReg {
			content, header.Linkname = header.Linkname, ""
		}
		header.ModTime = time.Unix(1_700_000_000, 0)
		must(t, w.WriteHeader(&header))
		_, err := io.WriteString(w, content)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// build is an image of layers.
func build(t testing.TB, layers ...entries) v1.Image {
	t.Helper()
	img := empty.Image
	for _, layer := range layers {
		content := archive(t, layer)
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		must(t, err)
		img, err = mutate.AppendLayers(img, l)
		must(t, err)
	}
	return configured(t, img, platform().Architecture)
}

func configured(t testing.TB, img v1.Image, architecture string) v1.Image {
	t.Helper()
	config, err := img.ConfigFile()
	must(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Env = "linux", architecture, []string{"PATH=/x", "A=b"}
	img, err = mutate.ConfigFile(img, config)
	must(t, err)
	return img
}

// layoutOf writes images as an OCI layout.
func layoutOf(t testing.TB, images ...v1.Image) string {
	t.Helper()
	path, err := layout.Write(filepath.Join(t.TempDir(), "layout"), empty.Index)
	must(t, err)
	for _, img := range images {
		config, err := img.ConfigFile()
		must(t, err)
		must(t, path.AppendImage(img, layout.WithPlatform(v1.Platform{OS: config.OS, Architecture: config.Architecture})))
	}
	return string(path)
}

func store(t testing.TB, options Options) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "images"), options)
	must(t, err)
	return s
}

func source(t testing.TB, text string) Source {
	t.Helper()
	s, err := ParseSource(text)
	must(t, err)
	return s
}

// look says what a directory has: "d755", "f644 content" or "l target" by path.
func look(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		must(t, err)
		info, err := entry.Info()
		must(t, err)
		switch mode := info.Mode(); mode.Type() {
		case fs.ModeDir:
			found[name] = fmt.Sprintf("d%o", mode&(fs.ModePerm|fs.ModeSticky|fs.ModeSetuid|fs.ModeSetgid))
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			must(t, err)
			found[name] = "l " + target
		default:
			content, err := os.ReadFile(path)
			must(t, err)
			found[name] = fmt.Sprintf("f%o %s", mode&^fs.ModeType, content)
		}
		return nil
	}))
	return found
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// quiet is a transport that leaves no connection open.
func quiet() http.RoundTripper { return &http.Transport{DisableKeepAlives: true} }
