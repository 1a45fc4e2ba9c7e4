package code

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"
)

const (
	directoryMode  fs.FileMode = 0o755
	fileMode       fs.FileMode = 0o644
	executableMode fs.FileMode = 0o755
)

// check unpacks all of a zip file to nowhere, so that extract of the same bytes can fail only for want of a
// working disk.
func check(ctx context.Context, zip []byte) error {
	c, content, err := read(ctx, zip)
	if err != nil {
		return err
	}
	for _, n := range c.files {
		if err := content.unpack(ctx, n.entry, io.Discard); err != nil {
			return err
		}
	}
	return nil
}

// extract unpacks a zip file into an empty directory, which nothing can lead out of. After an error the
// directory has any part of the package.
func extract(ctx context.Context, zip []byte, root *os.Root) error {
	c, content, err := read(ctx, zip)
	if err != nil {
		return err
	}
	x := &extraction{root: root, open: root}
	defer x.close()
	for _, n := range c.directories {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.directory(n); err != nil {
			return err
		}
	}
	for _, n := range c.files {
		if err := x.file(ctx, n, content); err != nil {
			return err
		}
	}
	// Links come last: no name that is made is ever walked through one.
	for _, n := range c.links {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.link(n); err != nil {
			return err
		}
	}
	// The times of directories come after everything in them, children before their parents.
	for i := len(c.directories) - 1; i >= 0; i-- {
		if err := x.touch(c.directories[i]); err != nil {
			return err
		}
	}
	return root.Chmod(".", directoryMode)
}

// extraction makes files in a directory.
type extraction struct {
	root *os.Root
	// open is the directory at dir, kept because the next name is likely in the same one: walking from the
	// root costs a system call per path element.
	open *os.Root
	dir  string
}

// in gives the directory that holds a path, and the path's last element.
func (x *extraction) in(p string) (*os.Root, string, error) {
	dir := parent(p)
	if dir == x.dir {
		return x.open, path.Base(p), nil
	}
	x.close()
	x.open, x.dir = x.root, ""
	if dir != "" {
		next, err := x.root.OpenRoot(dir)
		if err != nil {
			return nil, "", err
		}
		x.open, x.dir = next, dir
	}
	return x.open, path.Base(p), nil
}

func (x *extraction) close() {
	if x.open != x.root {
		_ = x.open.Close()
	}
}

func (x *extraction) directory(n *node) error {
	dir, name, err := x.in(n.path)
	if err != nil {
		return err
	}
	if err := dir.Mkdir(name, directoryMode); err != nil {
		return err
	}
	return dir.Chmod(name, directoryMode) // Mkdir asked the umask
}

func (x *extraction) file(ctx context.Context, n *node, content *unpacker) error {
	dir, name, err := x.in(n.path)
	if err != nil {
		return err
	}
	mode := fileMode
	if n.executable {
		mode = executableMode
	}
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	err = content.unpack(ctx, n.entry, f)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return dir.Chtimes(name, time.Time{}, n.modified)
}

func (x *extraction) link(n *node) error {
	dir, name, err := x.in(n.path)
	if err != nil {
		return err
	}
	return dir.Symlink(n.target, name)
}

func (x *extraction) touch(n *node) error {
	if n.modified.IsZero() {
		return nil
	}
	dir, name, err := x.in(n.path)
	if err != nil {
		return err
	}
	return dir.Chtimes(name, time.Time{}, n.modified)
}
