package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"hotaru/code/tree"
)

// What an image may cost. Bytes bounds what its layers unpack to, as it is streamed and as files that share their
// bytes count: the size that Lambda allows an image
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const (
	maxBytes  = 10 << 30
	maxNodes  = 1_000_000 // over all layers, those that a later one covers included
	maxLayers = 500
)

var (
	errTooLarge = fmt.Errorf("it unpacks to more than %d GiB", maxBytes>>30)
	errTooMany  = fmt.Errorf("it has more than %d files", maxNodes)
)

// unpacker puts layers over each other. Nothing that a layer says reaches a disk but the bytes of its files, which
// go one after the other into one file.
type unpacker struct {
	root  *tree.Node
	spool *os.File
	// used is how much of spool is taken; bytes and nodes are what all layers have had.
	used, bytes int64
	nodes       int
	// fresh are the nodes of the layer that is being read: its whiteouts do not touch them.
	fresh map[*tree.Node]bool
	// limit is maxBytes.
	limit int64
}

func newUnpacker(spool *os.File) *unpacker {
	return &unpacker{root: implied(), spool: spool, limit: maxBytes}
}

// bounded reads a layer as a stream and counts.
type bounded struct {
	ctx  context.Context //nolint:containedctx // io.Reader has none
	u    *unpacker
	from io.Reader
}

func (b bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.from.Read(p)
	if b.u.bytes += int64(n); b.u.bytes > b.u.limit {
		return 0, errTooLarge
	}
	return n, err
}

// apply puts one layer, uncompressed, over what there is, and reads it to its end.
// https://github.com/opencontainers/image-spec/blob/main/layer.md
func (u *unpacker) apply(ctx context.Context, layer io.Reader) error {
	u.fresh = map[*tree.Node]bool{}
	stream := bounded{ctx, u, layer}
	entries := tar.NewReader(stream)
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if u.nodes++; u.nodes > maxNodes {
			return errTooMany
		}
		if err := u.entry(header, entries); err != nil {
			return fmt.Errorf("%.100q: %w", header.Name, err)
		}
	}
	_, err := io.Copy(io.Discard, stream) // what is behind the archive's end is part of the digest
	return err
}

const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

func (u *unpacker) entry(header *tar.Header, content io.Reader) error {
	names, err := elements(header.Name)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == ".." {
			return errors.New("the name leads upwards")
		}
	}
	at, err := locate(u.root, header.Name, false, u.implied)
	if err != nil {
		return err
	}
	for _, dir := range at.above {
		u.fresh[dir] = true
	}
	switch {
	case at.name == opaque:
		u.prune(at.dir())
		return nil
	case strings.HasPrefix(at.name, whiteout+whiteout):
		return nil // what aufs kept for itself
	case strings.HasPrefix(at.name, whiteout):
		return u.whiteout(at.dir(), strings.TrimPrefix(at.name, whiteout))
	}
	n, err := u.node(header, content)
	if err != nil {
		return err
	}
	return u.put(at, n)
}

func (u *unpacker) implied() *tree.Node {
	u.nodes++
	return implied()
}

// whiteout removes what lower layers have under a name.
func (u *unpacker) whiteout(dir *tree.Node, name string) error {
	if name == "" || name == "." || name == ".." {
		return errors.New("the whiteout is of nothing")
	}
	switch n := dir.Children[name]; {
	case n == nil:
	case !u.fresh[n]:
		delete(dir.Children, name)
	case n.Mode.IsDir():
		u.prune(n)
	}
	return nil
}

// prune removes what lower layers have in a directory. A directory of theirs that holds something of this layer's is
// fresh.
func (u *unpacker) prune(dir *tree.Node) {
	for name, n := range dir.Children {
		switch {
		case !u.fresh[n]:
			delete(dir.Children, name)
		case n.Mode.IsDir():
			u.prune(n)
		}
	}
}

// put gives a node its place. A directory over a directory keeps what is in it; nil removes what is there.
func (u *unpacker) put(at place, n *tree.Node) error {
	old := at.node()
	switch {
	case n != nil && n.Mode.IsDir() && old != nil && old.Mode.IsDir():
		old.Mode, old.Modified = n.Mode, n.Modified
		u.fresh[old] = true
		return nil
	case at.name == "" && n != nil:
		return errors.New("the root is no directory")
	case n == nil:
		if at.name != "" {
			delete(at.dir().Children, at.name)
		}
		return nil
	}
	at.dir().Children[at.name] = n
	u.fresh[n] = true
	return nil
}

// node is what an entry describes; nil if it is something that no root has: devices, pipes, sockets. Of its mode the
// permissions stay, without setuid and setgid: everything belongs to root.
func (u *unpacker) node(header *tar.Header, content io.Reader) (*tree.Node, error) {
	mode := header.FileInfo().Mode()
	switch header.Typeflag {
	case tar.TypeDir:
		return tree.Directory(mode, modified(header)), nil
	case tar.TypeSymlink:
		if len(header.Linkname) == 0 || len(header.Linkname) > maxTarget || strings.ContainsRune(header.Linkname, 0) {
			return nil, errors.New("the link's target is empty or too long")
		}
		return tree.Link(header.Linkname, modified(header)), nil
	case tar.TypeLink:
		return u.hardLink(header.Linkname)
	case tar.TypeReg, tar.TypeGNUSparse:
		stored, err := u.store(header.Size, content)
		if err != nil {
			return nil, err
		}
		return tree.File(mode, modified(header), stored), nil
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return nil, nil
	default:
		return nil, fmt.Errorf("its kind %q is unknown", header.Typeflag)
	}
}

// modified keeps times within what images can hold.
func modified(header *tar.Header) time.Time {
	if header.ModTime.Unix() < 0 {
		return time.Time{}
	}
	return header.ModTime
}

// hardLink is another name for a file, which must be there.
func (u *unpacker) hardLink(target string) (*tree.Node, error) {
	at, err := locate(u.root, target, false, nil)
	if err != nil {
		return nil, fmt.Errorf("hard link: %w", err)
	}
	n := at.node()
	if n == nil || n.Mode.IsDir() {
		return nil, fmt.Errorf("hard link to %.100q, which is no file", target)
	}
	linked := *n
	if n.Mode.Type() != fs.ModeSymlink && n.Content != nil {
		// In some forms of a root each name has its own bytes.
		if u.bytes += n.Content.Size; u.bytes > u.limit {
			return nil, errTooLarge
		}
	}
	return &linked, nil
}

// store puts a file's bytes into the spool.
func (u *unpacker) store(size int64, content io.Reader) (*tree.Content, error) {
	if size == 0 {
		return nil, nil
	}
	if size < 0 || u.used+size > u.limit {
		return nil, errTooLarge
	}
	from := u.used
	if _, err := io.CopyN(io.NewOffsetWriter(u.spool, from), content, size); err != nil {
		return nil, err
	}
	u.used += size
	return &tree.Content{Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(u.spool, from, size)), nil
	}}, nil
}
