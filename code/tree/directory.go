package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// errSize is a content that is not as long as it says.
var errSize = errors.New("tree: a file does not have the size that it says")

// WriteDirectory makes what a directory has in one that exists, is empty, and that nothing can lead out of. After
// an error it has any part. Nothing is fsynced.
func (n *Node) WriteDirectory(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	w := &directoryWriter{top: root, names: map[*Content]string{}, buf: make([]byte, copySize)}
	return errors.Join(w.fill(ctx, root, "", n), root.Close())
}

// MakeDirectory makes a directory that is the tree.
func (n *Node) MakeDirectory(ctx context.Context, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return n.WriteDirectory(ctx, dir)
}

const copySize = 64 << 10

// directoryWriter makes directories. No path of more than one element is ever walked but for hard links: that would
// cost a system call per element.
type directoryWriter struct {
	top *os.Root
	// names are the paths of the files that are made, from top.
	names map[*Content]string
	buf   []byte
}

// fill makes what is in a directory, which is open, and gives it its mode and time last: each new name changes the time.
func (w *directoryWriter) fill(ctx context.Context, open *os.Root, path string, dir *Node) error {
	for _, c := range dir.sorted() {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		switch c.Mode.Type() {
		case fs.ModeDir:
			err = w.directory(ctx, open, path, c)
		case fs.ModeSymlink:
			err = open.Symlink(c.Target, c.name)
		default:
			err = w.file(ctx, open, path, c)
		}
		if err != nil {
			return err
		}
	}
	if err := open.Chmod(".", dir.Mode&(fs.ModePerm|fs.ModeSticky)); err != nil {
		return err
	}
	return open.Chtimes(".", time.Time{}, dir.modified())
}

func (w *directoryWriter) directory(ctx context.Context, parent *os.Root, path string, c child) error {
	if err := parent.Mkdir(c.name, 0o700); err != nil {
		return err
	}
	open, err := parent.OpenRoot(c.name)
	if err != nil {
		return err
	}
	return errors.Join(w.fill(ctx, open, path+c.name+"/", c.Node), open.Close())
}

func (w *directoryWriter) file(ctx context.Context, parent *os.Root, path string, c child) error {
	if c.Content != nil {
		if first, made := w.names[c.Content]; made {
			return w.top.Link(first, path+c.name)
		}
		w.names[c.Content] = path + c.name
	}
	f, err := parent.OpenFile(c.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, c.Mode.Perm())
	if err != nil {
		return err
	}
	if c.Content != nil {
		err = w.copy(ctx, f, c.Content)
	}
	if err == nil {
		err = f.Chmod(c.Mode.Perm()) // whatever the umask
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return parent.Chtimes(c.name, time.Time{}, c.modified())
}

// copy copies a content, which must have exactly its size.
func (w *directoryWriter) copy(ctx context.Context, to io.Writer, content *Content) error {
	from, err := content.Open()
	if err != nil {
		return err
	}
	var n int64
	for err == nil {
		var read int
		if err = ctx.Err(); err != nil {
			break
		}
		read, err = from.Read(w.buf)
		if n += int64(read); n > content.Size {
			err = errSize
			break
		}
		if _, failed := to.Write(w.buf[:read]); failed != nil {
			err = failed
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
		if n != content.Size {
			err = fmt.Errorf("%w: %d instead of %d", errSize, n, content.Size)
		}
	}
	return errors.Join(err, from.Close())
}
