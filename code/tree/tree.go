// Package tree is a read-only file system before it is on a disk: names, modes and where the bytes come from. It
// becomes a directory or an EROFS image, and both look the same from inside a sandbox. It must not know what a tree
// was read from; who builds one has checked its names, kinds and sizes.
package tree

import (
	"bytes"
	"cmp"
	"io"
	"io/fs"
	"slices"
	"time"
)

// Node is a directory, a regular file or a symbolic link. Everything belongs to root.
type Node struct {
	// Mode is the type, the permissions and, of a directory, fs.ModeSticky. Nothing else is kept.
	Mode fs.FileMode
	// Modified is kept to the second; the zero time becomes 1970.
	Modified time.Time
	// Children are what a directory has, by name.
	Children map[string]*Node
	// Target is where a symbolic link leads.
	Target string
	// Content is what a file has; nil is nothing. Files that share one are one file under several names.
	Content *Content
}

// Content is the bytes of a file.
type Content struct {
	// Size is exactly how many bytes a reader has.
	Size int64
	// Open opens them. It is called when they are needed and the reader closed at once after that, one at a time.
	Open func() (io.ReadCloser, error)
}

// Directory returns an empty directory.
func Directory(mode fs.FileMode, modified time.Time) *Node {
	return &Node{Mode: fs.ModeDir | mode&(fs.ModePerm|fs.ModeSticky), Modified: modified, Children: map[string]*Node{}}
}

// File returns a file.
func File(mode fs.FileMode, modified time.Time, content *Content) *Node {
	return &Node{Mode: mode & fs.ModePerm, Modified: modified, Content: content}
}

// Link returns a symbolic link.
func Link(target string, modified time.Time) *Node {
	return &Node{Mode: fs.ModeSymlink | fs.ModePerm, Modified: modified, Target: target}
}

// Bytes are a content in memory.
func Bytes(b []byte) *Content {
	return &Content{Size: int64(len(b)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

func (n *Node) size() int64 {
	switch {
	case n.Mode.Type() == fs.ModeSymlink:
		return int64(len(n.Target))
	case n.Content == nil:
		return 0
	default:
		return n.Content.Size
	}
}

func (n *Node) modified() time.Time {
	if n.Modified.IsZero() {
		return time.Unix(0, 0)
	}
	return n.Modified.Truncate(time.Second)
}

// child is a node under its name.
type child struct {
	name string
	*Node
}

// sorted are a directory's children by name.
func (n *Node) sorted() []child {
	all := make([]child, 0, len(n.Children))
	for name, node := range n.Children {
		all = append(all, child{name, node})
	}
	slices.SortFunc(all, func(a, b child) int { return cmp.Compare(a.name, b.name) })
	return all
}
