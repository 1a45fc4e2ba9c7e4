package code

import (
	"context"
	"io"
	"io/fs"

	"hotaru/code/tree"
)

const (
	directoryMode  fs.FileMode = 0o755
	fileMode       fs.FileMode = 0o644
	executableMode fs.FileMode = 0o755
)

// check unpacks all of a zip file to nowhere, so that unpacking the same bytes can fail only for want of a
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

// tree is what was read as a file system, whose files are unpacked when they are read, one at a time.
func (c *contents) tree(ctx context.Context) *tree.Node {
	return c.root.tree(ctx, &unpacker{left: mostUnzipped})
}

func (n *node) tree(ctx context.Context, u *unpacker) *tree.Node {
	switch n.kind {
	case linkKind:
		return tree.Link(n.target, n.modified)
	case fileKind:
		mode := fileMode
		if n.executable {
			mode = executableMode
		}
		return tree.File(mode, n.modified, &tree.Content{Size: int64(n.entry.size), Open: func() (io.ReadCloser, error) {
			r, err := u.open(ctx, n.entry)
			return io.NopCloser(r), err
		}})
	}
	dir := tree.Directory(directoryMode, n.modified)
	for _, child := range n.inside {
		dir.Children[child.name] = child.tree(ctx, u)
	}
	return dir
}
