//go:build linux

package erofs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/code/tree"
)

// sized is a tree of so many small files.
func sized(files int) *tree.Node {
	root := tree.Directory(0o755, time.Time{})
	for i := range files {
		root.Children[fmt.Sprint("module", i, ".py")] = tree.File(0o644, time.Time{}, tree.Bytes([]byte(strings.Repeat("x = 1\n", 100+i%900))))
	}
	return root
}

// BenchmarkAttach is what a sandbox waits for: a detached mount of its code, from a directory, from an image that is mounted
// for it, from one that is mounted already.
func BenchmarkAttach(b *testing.B) {
	dir := b.TempDir()
	root := sized(1000)
	must(b, root.MakeDirectory(b.Context(), filepath.Join(dir, "directory")))
	must(b, root.WriteImageFile(b.Context(), filepath.Join(dir, "image")))
	b.Run("directory", func(b *testing.B) {
		for b.Loop() {
			fd, err := unix.OpenTree(unix.AT_FDCWD, filepath.Join(dir, "directory"), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
			must(b, err)
			must(b, unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attributes, Propagation: unix.MS_PRIVATE}))
			must(b, unix.Close(fd))
		}
	})
	for _, way := range []Way{FromFile, FromLoop} {
		b.Run(string(way), func(b *testing.B) {
			m, err := open(dir, way)
			if err != nil {
				b.Skip(err)
			}
			defer m.Close()
			for _, kept := range []int{0, maxIdle} {
				b.Run(fmt.Sprint("idle=", kept), func(b *testing.B) {
					m.maxIdle = kept
					for b.Loop() {
						i, err := m.Use(filepath.Join(dir, "image"))
						must(b, err)
						tree, err := i.Tree()
						must(b, err)
						must(b, tree.Close())
						i.Release()
					}
				})
			}
		})
	}
}

// BenchmarkRead reads 1,000 files: from a directory, and from an image, whether it is mounted for that or is already.
func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	root := sized(1000)
	must(b, root.MakeDirectory(b.Context(), filepath.Join(dir, "directory")))
	must(b, root.WriteImageFile(b.Context(), filepath.Join(dir, "image")))
	readAll := func(b *testing.B, at int) {
		buf := make([]byte, 16<<10)
		for name := range root.Children {
			fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			must(b, err)
			_, err = unix.Read(fd, buf)
			must(b, err)
			must(b, unix.Close(fd))
		}
	}
	b.Run("directory", func(b *testing.B) {
		at, err := os.Open(filepath.Join(dir, "directory"))
		must(b, err)
		defer at.Close()
		for b.Loop() {
			readAll(b, int(at.Fd()))
		}
	})
	m, err := Open(dir)
	if err != nil {
		b.Skip(err)
	}
	defer m.Close()
	for _, kept := range []int{0, maxIdle} {
		b.Run(fmt.Sprint(m.Way(), "/idle=", kept), func(b *testing.B) {
			m.maxIdle = kept
			for b.Loop() {
				i, err := m.Use(filepath.Join(dir, "image"))
				must(b, err)
				readAll(b, int(i.tree.Fd()))
				i.Release()
			}
		})
	}
}

// BenchmarkMake makes a root.
func BenchmarkMake(b *testing.B) {
	root := sized(1000)
	dir := b.TempDir()
	n := 0
	b.Run("directory", func(b *testing.B) {
		for b.Loop() {
			n++
			must(b, root.MakeDirectory(b.Context(), filepath.Join(dir, fmt.Sprint(n))))
		}
	})
	b.Run("image", func(b *testing.B) {
		for b.Loop() {
			n++
			must(b, root.WriteImageFile(b.Context(), filepath.Join(dir, fmt.Sprint(n))))
		}
	})
}
