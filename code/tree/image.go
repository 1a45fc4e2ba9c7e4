package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/erofs/go-erofs"
)

// WriteImage writes the tree as an EROFS image, uncompressed, to an empty file. The same tree gives the same bytes.
// The format has no more names for one file than one here: files that share a content are copies. After an error
// the file has any part. Nothing is fsynced.
func (n *Node) WriteImage(ctx context.Context, file *os.File) error {
	source := &imageSource{ctx: ctx, root: n, at: map[string]*Node{}}
	w := erofs.Create(file, erofs.WithBuildTime(0, 0))
	if err := w.CopyFrom(source); err != nil {
		return fmt.Errorf("tree: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("tree: %w", err)
	}
	return nil
}

// WriteImageFile makes a file that is the tree's image.
func (n *Node) WriteImageFile(ctx context.Context, path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(n.WriteImage(ctx, file), file.Close())
}

// Open opens the files of a root, a directory or an image as the functions of this package make them. No link leads out
// of them. Close it when they are done with.
func Open(path string) (fs.FS, io.Closer, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	if info.IsDir() {
		root, err := os.OpenRoot(path)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, nil, err
		}
		return root.FS(), root, nil
	}
	files, err := erofs.Open(file)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("tree: %s: %w", path, err), file.Close())
	}
	return files, file, nil
}

// imageSource is a tree as the image writer reads it: each directory once, from the top, then each file.
type imageSource struct {
	ctx  context.Context //nolint:containedctx // the writer's interface has none
	root *Node
	// at are the directories, and the children of those that have been listed, by path.
	at map[string]*Node
}

func (s *imageSource) node(op, name string) (*Node, error) {
	if name == "." {
		return s.root, nil
	}
	if n := s.at[name]; n != nil {
		return n, nil
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// Stat implements fs.StatFS.
func (s *imageSource) Stat(name string) (fs.FileInfo, error) {
	n, err := s.node("stat", name)
	return info{child{path.Base(name), n}}, err
}

// ReadDir implements fs.ReadDirFS.
func (s *imageSource) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	n, err := s.node("readdir", name)
	if err != nil {
		return nil, err
	}
	children := n.sorted()
	entries := make([]fs.DirEntry, len(children))
	for i, c := range children {
		entries[i] = fs.FileInfoToDirEntry(info{c})
		s.at[path.Join(name, c.name)] = c.Node
	}
	return entries, nil
}

// ReadLink implements fs.ReadLinkFS.
func (s *imageSource) ReadLink(name string) (string, error) {
	n, err := s.node("readlink", name)
	if err != nil {
		return "", err
	}
	return n.Target, nil
}

// Lstat implements fs.ReadLinkFS.
func (s *imageSource) Lstat(name string) (fs.FileInfo, error) { return s.Stat(name) }

// Open implements fs.FS.
func (s *imageSource) Open(name string) (fs.File, error) {
	n, err := s.node("open", name)
	if err != nil {
		return nil, err
	}
	return &lazyFile{ctx: s.ctx, info: info{child{path.Base(name), n}}, left: n.size()}, nil
}

// lazyFile opens its content at the first Read and closes it at its end: the writer opens all files of a tree before it
// reads the first.
type lazyFile struct {
	ctx     context.Context //nolint:containedctx // the writer's interface has none
	info    info
	left    int64
	content io.ReadCloser
	err     error // what every further Read answers
}

func (f *lazyFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// Read implements fs.File. It has exactly as many bytes as the node says, or fails.
func (f *lazyFile) Read(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.read(b)
	if err != nil {
		f.err = err
		if failed := f.Close(); failed != nil && errors.Is(err, io.EOF) {
			f.err = failed
		}
	}
	return n, f.err
}

func (f *lazyFile) read(b []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	if f.content == nil {
		var err error
		if f.content, err = f.info.Content.Open(); err != nil {
			return 0, err
		}
	}
	n, err := f.content.Read(b)
	switch f.left -= int64(n); {
	case f.left < 0, errors.Is(err, io.EOF) && f.left > 0:
		return 0, errSize
	case f.left == 0 && err == nil:
		// There must be no more: the writer does not ask.
		if more, err := f.content.Read(make([]byte, 1)); more > 0 {
			return 0, errSize
		} else if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		return n, io.EOF
	}
	return n, err
}

// Close implements fs.File.
func (f *lazyFile) Close() error {
	if f.content == nil {
		return nil
	}
	err := f.content.Close()
	f.content = nil
	return err
}

// info describes a child to the image writer.
type info struct{ child }

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size() }
func (i info) Mode() fs.FileMode  { return i.Node.Mode & (fs.ModeType | fs.ModePerm | fs.ModeSticky) }
func (i info) ModTime() time.Time { return i.modified() }
func (i info) IsDir() bool        { return i.Node.Mode.IsDir() }

// Sys says what the writer wants to know beyond the rest. A directory's links are counted: find(1) goes by them.
func (i info) Sys() any {
	links := 1
	if i.IsDir() {
		links = 2
		for _, n := range i.Children {
			if n.Mode.IsDir() {
				links++
			}
		}
	}
	return &erofs.Stat{Mtime: uint64(max(0, i.modified().Unix())), Nlink: links} // 1970 on
}
