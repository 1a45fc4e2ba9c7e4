// Package image turns container images into read-only roots: from an OCI image layout, a tar file of docker save or a
// registry, each once, named by what is in it. It must not know runtimes, functions, nor what a root is for; every
// image is taken for hostile.
package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"hotaru/code/tree"
)

// Options say how a Store gets images and what it makes of them.
type Options struct {
	// Keychain has the credentials for registries; nil is none.
	Keychain authn.Keychain
	// Proxy says how registries are reached; nil is directly.
	Proxy func(*http.Request) (*url.URL, error)
	// EROFS makes an image file of each root instead of a directory.
	EROFS bool
	// Log is told when a registry cannot be asked and an earlier answer is used. nil is nobody.
	Log *slog.Logger
}

// Store keeps roots. One process at a time may have its directory, and one goroutine a Store.
//
//	roots/<key>/root        the root: a directory, or an EROFS image
//	roots/<key>/config.json what the image says of itself
//	sources/<hash>          the key of what a registry answered for a reference
//	tmp                     what is being made
type Store struct {
	dir     string
	options Options
	limit   int64
	used    map[string]bool // keys that Root gave
}

// Root is an unpacked image.
type Root struct {
	// Key names the root: it changes with the image's files and with what was added.
	Key string
	// Path is a directory, or an EROFS image file if the Store makes those.
	Path string
	// Env is what the image sets, NAME=value.
	Env []string
}

const (
	rootsDir, sourcesDir, tmpDir = "roots", "sources", "tmp"
	rootName, configName         = "root", "config.json"
)

// registryTimeout is how long a registry may take to begin an answer.
const registryTimeout = 30 * time.Second

// Open opens the store in a directory, which it makes (its parent must exist), and removes what a crash left there half
// made.
func Open(dir string, options Options) (*Store, error) {
	if options.Keychain == nil {
		options.Keychain = authn.NewMultiKeychain()
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []string{dir, filepath.Join(dir, rootsDir), filepath.Join(dir, sourcesDir)} {
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("image: %w", err)
		}
	}
	tmp := filepath.Join(dir, tmpDir)
	if err := errors.Join(os.RemoveAll(tmp), os.Mkdir(tmp, 0o700)); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	return &Store{dir: dir, options: options, limit: maxBytes, used: map[string]bool{}}, nil
}

// Root returns an image's root with our own additions, which are made in their order; it makes it if it is not there.
// A registry that cannot be reached is no error if it has answered for the same reference before.
func (s *Store) Root(ctx context.Context, source Source, additions []Addition) (Root, error) {
	transport := s.transport()
	defer transport.CloseIdleConnections() // layers are read with it too
	key, img, err := s.identify(ctx, source, transport, additions)
	if err != nil {
		return Root{}, fmt.Errorf("image: %s: %w", source, err)
	}
	s.used[key] = true
	path := filepath.Join(s.dir, rootsDir, key)
	if _, err := os.Lstat(filepath.Join(path, configName)); err != nil {
		if img.unreachable != nil {
			return Root{}, fmt.Errorf("image: %s: %w", source, img.unreachable)
		}
		if err := s.make(ctx, img, path, additions); err != nil {
			return Root{}, fmt.Errorf("image: %s: %w", source, err)
		}
	}
	if source.reference != nil && img.unreachable == nil {
		if err := s.remember(source, key, additions); err != nil {
			return Root{}, fmt.Errorf("image: %w", err)
		}
	}
	root := Root{Key: key, Path: filepath.Join(path, rootName)}
	text, err := os.ReadFile(filepath.Join(path, configName))
	if err == nil {
		var config v1.Config
		err = json.Unmarshal(text, &config)
		root.Env = config.Env
	}
	if err != nil {
		return Root{}, fmt.Errorf("image: %s: %w", source, err)
	}
	return root, nil
}

func (s *Store) transport() *http.Transport {
	return &http.Transport{
		Proxy: s.options.Proxy, TLSHandshakeTimeout: registryTimeout, ResponseHeaderTimeout: registryTimeout,
		DialContext: (&net.Dialer{Timeout: registryTimeout}).DialContext, ForceAttemptHTTP2: true,
	}
}

// identify finds the image and what names its root: the digests of its layers' contents, what is added, and the form.
func (s *Store) identify(ctx context.Context, source Source, transport *http.Transport, additions []Addition) (string, found, error) {
	img, err := source.find(ctx, transport, s.options.Keychain)
	var config *v1.ConfigFile
	if err == nil {
		config, err = img.config()
	}
	if err != nil {
		key, known := s.remembered(source, additions)
		if !known || ctx.Err() != nil {
			return "", found{}, err
		}
		s.options.Log.Warn("using an image as it was when its registry last answered", "image", source.String(), "error", err)
		return key, found{unreachable: err}, nil
	}
	sum := sha256.New()
	for _, id := range config.RootFS.DiffIDs {
		fmt.Fprintln(sum, id)
	}
	fmt.Fprintln(sum, s.kind(additions))
	return hex.EncodeToString(sum.Sum(nil)), img, nil
}

// config is the image's configuration, which its manifest vouches for, and the manifest is what was asked for.
func (f found) config() (*v1.ConfigFile, error) {
	raw, err := f.RawConfigFile()
	if err != nil {
		return nil, err
	}
	if !f.noManifest {
		if err := f.vouch(raw); err != nil {
			return nil, err
		}
	}
	config, err := f.ConfigFile()
	switch {
	case err != nil:
		return nil, err
	case config.Architecture != platform().Architecture || config.OS != platform().OS:
		return nil, fmt.Errorf("it is for %s/%s, and this machine is %s", config.OS, config.Architecture, platform())
	case len(config.RootFS.DiffIDs) > maxLayers:
		return nil, fmt.Errorf("it has more than %d layers", maxLayers)
	}
	return config, nil
}

func (f found) vouch(config []byte) error {
	text, err := f.RawManifest()
	if err != nil {
		return err
	}
	want, err := f.Digest()
	if err != nil {
		return err
	}
	if got := sha256.Sum256(text); want.Algorithm != "sha256" || want.Hex != hex.EncodeToString(got[:]) {
		return fmt.Errorf("its manifest is not %s", want)
	}
	manifest, err := f.Manifest()
	if err != nil {
		return err
	}
	got := sha256.Sum256(config)
	if d := manifest.Config.Digest; d.Algorithm != "sha256" || d.Hex != hex.EncodeToString(got[:]) {
		return fmt.Errorf("its configuration is not %s", d)
	}
	return nil
}

// make unpacks an image beside its place and moves it there when it is whole and on the disk.
func (s *Store) make(ctx context.Context, img found, path string, additions []Addition) (err error) {
	tmp, err := os.MkdirTemp(filepath.Join(s.dir, tmpDir), "make-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	config, err := img.config()
	if err != nil {
		return err
	}
	made := filepath.Join(tmp, "made")
	if err := os.Mkdir(made, 0o700); err != nil {
		return err
	}
	spool, err := os.Create(filepath.Join(tmp, "spool"))
	if err != nil {
		return err
	}
	defer spool.Close() // what it holds has been read, or is of no use
	root, err := s.unpack(ctx, img, config, spool)
	if err != nil {
		return err
	}
	for _, a := range additions {
		if err := a.add(root); err != nil {
			return err
		}
	}
	if err := s.write(ctx, root, filepath.Join(made, rootName)); err != nil {
		return err
	}
	text, err := json.Marshal(config.Config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(made, configName), text, 0o600); err != nil {
		return err
	}
	if err := syncAll(made); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil { // what has no configuration was never whole
		return err
	}
	return os.Rename(made, path)
}

// unpack puts the image's layers over each other, each of which must be what the configuration says.
func (s *Store) unpack(ctx context.Context, img found, config *v1.ConfigFile, spool *os.File) (*tree.Node, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	if len(layers) != len(config.RootFS.DiffIDs) {
		return nil, fmt.Errorf("it has %d layers and names %d", len(layers), len(config.RootFS.DiffIDs))
	}
	u := newUnpacker(spool)
	u.limit = s.limit
	for i, layer := range layers {
		if err := applyLayer(ctx, u, layer, config.RootFS.DiffIDs[i]); err != nil {
			return nil, fmt.Errorf("layer %s: %w", config.RootFS.DiffIDs[i], err)
		}
	}
	return u.root, nil
}

func applyLayer(ctx context.Context, u *unpacker, layer v1.Layer, want v1.Hash) error {
	content, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	sum := sha256.New()
	if err := errors.Join(u.apply(ctx, io.TeeReader(content, sum)), content.Close()); err != nil {
		return err
	}
	if want.Algorithm != "sha256" || want.Hex != hex.EncodeToString(sum.Sum(nil)) {
		return errors.New("its content does not match its digest")
	}
	return nil
}

// write makes the root's form.
func (s *Store) write(ctx context.Context, root *tree.Node, path string) error {
	if s.options.EROFS {
		return root.WriteImageFile(ctx, path)
	}
	return root.MakeDirectory(ctx, path)
}
