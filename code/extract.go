package code

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

const (
	directoryMode  fs.FileMode = 0o755
	fileMode       fs.FileMode = 0o644
	executableMode fs.FileMode = 0o755
)

// check unpacks all of a zip file to nowhere, so that extract of the same bytes can fail only for want of a
// working disk, and counts the bytes.
func check(ctx context.Context, zip []byte) (unzipped int64, err error) {
	c, content, err := read(ctx, zip)
	if err != nil {
		return 0, err
	}
	for _, n := range c.files {
		if err := content.unpack(ctx, n.entry, io.Discard); err != nil {
			return 0, err
		}
	}
	return mostUnzipped - content.left, nil
}

// extract unpacks what was read into an empty directory, which nothing can lead out of. After an error the
// directory has any part of it.
func extract(ctx context.Context, c *contents, root *os.Root) error {
	content := &unpacker{left: mostUnzipped}
	if err := root.Chmod(".", directoryMode); err != nil {
		return err
	}
	return content.fill(ctx, root, c.root)
}

// fill makes what is in a directory, which is open. No path of more than one element is ever walked: that
// would cost a system call per element, and could meet a link.
func (u *unpacker) fill(ctx context.Context, open *os.Root, dir *node) error {
	for _, n := range dir.inside {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		switch n.kind {
		case directoryKind:
			err = u.makeDirectory(ctx, open, n)
		case fileKind:
			err = u.makeFile(ctx, open, n)
		case linkKind:
			err = open.Symlink(n.target, n.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// makeDirectory makes a directory with all that is in it. Its time comes last, since each new name changes it.
func (u *unpacker) makeDirectory(ctx context.Context, parent *os.Root, n *node) error {
	if err := parent.Mkdir(n.name, directoryMode); err != nil {
		return err
	}
	open, err := parent.OpenRoot(n.name)
	if err != nil {
		return err
	}
	err = open.Chmod(".", directoryMode) // Mkdir asked the umask
	if err == nil {
		err = u.fill(ctx, open, n)
	}
	if err := errors.Join(err, open.Close()); err != nil {
		return err
	}
	if n.modified.IsZero() {
		return nil
	}
	return parent.Chtimes(n.name, time.Time{}, n.modified)
}

func (u *unpacker) makeFile(ctx context.Context, parent *os.Root, n *node) error {
	mode := fileMode
	if n.executable {
		mode = executableMode
	}
	f, err := parent.OpenFile(n.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	err = u.unpack(ctx, n.entry, f)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return parent.Chtimes(n.name, time.Time{}, n.modified)
}
