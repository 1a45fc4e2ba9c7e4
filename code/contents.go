package code

import (
	"context"
	"strings"
	"time"
)

// kind is what a name in a package stands for.
type kind byte

const (
	directoryKind kind = iota + 1
	fileKind
	linkKind
)

// contents are a package's checked names, as a tree, without the bytes of its files.
type contents struct {
	root  *node
	files []*node
	links []*node
	count int // nodes without the root
}

// node is a file, link or directory to be made.
type node struct {
	kind kind
	// parent is the root itself for the root, as ".." is to the kernel.
	parent   *node
	children map[string]*node // of a directory, by name
	inside   []*node          // the same in the archive's order
	path     string           // relative, clean, "/" between elements
	name     string           // the last element
	// modified is zero for a directory that only a longer name implies.
	modified   time.Time
	executable bool
	target     string // of a link
	entry      *entry // of a file or link
}

// read parses a zip file and checks everything but the bytes of its files: names, kinds, links.
func read(ctx context.Context, zip []byte) (*contents, *unpacker, error) {
	entries, err := parse(zip)
	if err != nil {
		return nil, nil, err
	}
	c := &contents{root: &node{kind: directoryKind, children: map[string]*node{}}}
	c.root.parent = c.root
	content := &unpacker{left: mostUnzipped}
	for i := range entries {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err := c.place(ctx, &entries[i], content); err != nil {
			return nil, nil, err
		}
	}
	for _, link := range c.links {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err := checkLink(link); err != nil {
			return nil, nil, err
		}
	}
	return c, content, nil
}

// place gives an entry its place.
func (c *contents) place(ctx context.Context, e *entry, content *unpacker) error {
	path, slash, err := cleanName(e.name)
	if err != nil {
		return err
	}
	k, executable, err := e.kind(slash)
	if err != nil {
		return err
	}
	if k == directoryKind && e.size != 0 {
		return refuse("directory %q has content", e.name)
	}
	if path == "" {
		if k != directoryKind {
			return refuse("%q is no file's name", e.name)
		}
		return nil // "./", the package itself
	}
	if k == directoryKind {
		dir, err := c.directory(path)
		if err != nil {
			return err
		}
		// Several entries for one directory are harmless, and jar files that were merged of others have them.
		dir.modified = e.modified
		return c.checkNumber()
	}
	dir, err := c.directory(parent(path))
	if err != nil {
		return err
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	if dir.children[name] != nil {
		return refuse("%q is there twice", path)
	}
	n := &node{kind: k, parent: dir, path: path, name: name, modified: e.modified, executable: executable, entry: e}
	c.add(n)
	if k == fileKind {
		c.files = append(c.files, n)
		return c.checkNumber()
	}
	if c.links = append(c.links, n); len(c.links) > maxLinks {
		return refuse("more than %d symbolic links", maxLinks)
	}
	n.target, err = readTarget(ctx, n, content)
	if err != nil {
		return err
	}
	return c.checkNumber()
}

func readTarget(ctx context.Context, link *node, content *unpacker) (string, error) {
	if link.entry.size == 0 || link.entry.size > maxTarget {
		return "", refuse("link %q has a target of %d bytes", link.path, link.entry.size)
	}
	var target strings.Builder
	err := content.unpack(ctx, link.entry, &target)
	return target.String(), err
}

// directory finds a directory and adds it, and those above it, if it is not there yet.
func (c *contents) directory(path string) (*node, error) {
	dir := c.root
	for at := 0; at < len(path); {
		end := len(path)
		if i := strings.IndexByte(path[at:], '/'); i >= 0 {
			end = at + i
		}
		next := dir.children[path[at:end]]
		if next == nil {
			next = &node{kind: directoryKind, parent: dir, children: map[string]*node{}, path: path[:end], name: path[at:end]}
			c.add(next)
		}
		if next.kind != directoryKind {
			return nil, refuse("%q is a directory and something else", path[:end])
		}
		dir, at = next, end+1
	}
	return dir, nil
}

func (c *contents) add(n *node) {
	n.parent.children[n.name] = n
	n.parent.inside = append(n.parent.inside, n)
	c.count++
}

func (c *contents) checkNumber() error {
	if c.count > maxNodes {
		return refuse("more than %d files and directories", maxNodes)
	}
	return nil
}

// parent is the part of a path before its last element.
func parent(path string) string { return path[:max(0, strings.LastIndexByte(path, '/'))] }

// cleanName turns an entry's name into a relative path without empty elements and "."; slash says that it
// ended like a directory's.
func cleanName(name string) (path string, slash bool, err error) {
	if len(name) > maxPath {
		return "", false, refuse("a name of %d bytes is longer than %d", len(name), maxPath)
	}
	switch {
	case name == "":
		return "", false, refuse("an entry has no name")
	case name[0] == '/':
		return "", false, refuse("%q is absolute", name)
	case strings.ContainsAny(name, "\\\x00"):
		return "", false, refuse("%q contains a backslash or NUL", name)
	case len(name) > 1 && name[1] == ':' && isLetter(name[0]):
		return "", false, refuse("%q starts with a drive", name)
	}
	elements := make([]string, 0, strings.Count(name, "/")+1)
	for element := range strings.SplitSeq(name, "/") {
		switch {
		case element == "" || element == ".":
			continue
		case element == "..":
			return "", false, refuse("%q leads upwards", name)
		case len(element) > maxElement:
			return "", false, refuse("%q has an element of more than %d bytes", name, maxElement)
		}
		elements = append(elements, element)
	}
	if len(elements) > maxDepth {
		return "", false, refuse("%q is deeper than %d", name, maxDepth)
	}
	last := name[strings.LastIndexByte(name, '/')+1:]
	return strings.Join(elements, "/"), last == "" || last == ".", nil
}

func isLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

// Systems that made an entry, by APPNOTE 4.4.2.2, and the parts of Unix's mode.
const (
	creatorUnix  = 3
	creatorMacOS = 19

	typeMask      = 0o170000
	typeRegular   = 0o100000
	typeDirectory = 0o040000
	typeLink      = 0o120000
	anyExecutable = 0o111

	dosDirectory = 0x10
)

// kind reads what an entry is. Of the permissions only "executable" is kept; the package belongs to root and
// everybody may read it.
//
// An entry without Unix's mode, as Windows makes them, becomes executable: nothing in the archive says which of
// its files is a program, and a bootstrap must start. Lambda itself leaves such files without the permission
// and then fails with "permission denied", so no function that works there can depend on it.
func (e *entry) kind(slash bool) (k kind, executable bool, err error) {
	mode := e.attrs >> 16
	if e.creator != creatorUnix && e.creator != creatorMacOS || mode == 0 {
		if slash || e.attrs&dosDirectory != 0 {
			return directoryKind, true, nil
		}
		return fileKind, true, nil
	}
	switch t := mode & typeMask; {
	case t == typeDirectory, slash && (t == typeRegular || t == 0):
		return directoryKind, true, nil
	case t == typeRegular, t == 0:
		return fileKind, mode&anyExecutable != 0, nil
	case t == typeLink && !slash:
		return linkKind, false, nil
	default:
		return 0, false, refuse("%q is a special file (mode %o)", e.name, mode)
	}
}
