package code

import (
	"bytes"
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

// contents are a package's checked names, without the bytes of its files.
type contents struct {
	// nodes has every path: relative, clean, "/" between elements.
	nodes map[string]kind
	// directories come after their parents. Those that only a longer name implies have no time.
	directories []*node
	files       []*node
	links       []*node
	byPath      map[string]*node // links and directories
}

// node is a file, link or directory to be made.
type node struct {
	path       string
	modified   time.Time
	executable bool
	target     string // of a link
	entry      *entry // nil for a directory
}

// read parses a zip file and checks everything but the bytes of its files: names, kinds, links.
func read(ctx context.Context, zip []byte) (*contents, *unpacker, error) {
	entries, err := parse(zip)
	if err != nil {
		return nil, nil, err
	}
	c := &contents{nodes: make(map[string]kind, len(entries)), byPath: map[string]*node{}}
	content := &unpacker{left: maxUnzipped - 1}
	for i := range entries {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err := c.add(ctx, &entries[i], content); err != nil {
			return nil, nil, err
		}
	}
	for _, link := range c.links {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err := c.checkLink(link); err != nil {
			return nil, nil, err
		}
	}
	return c, content, nil
}

// add gives an entry its place.
func (c *contents) add(ctx context.Context, e *entry, content *unpacker) error {
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
		return c.addDirectory(path, e.modified)
	}
	if _, taken := c.nodes[path]; taken {
		return refuse("%q is there twice", path)
	}
	if err := c.imply(path); err != nil {
		return err
	}
	n := &node{path: path, modified: e.modified, executable: executable, entry: e}
	c.nodes[path] = k
	if k == fileKind {
		c.files = append(c.files, n)
		return c.checkNumber()
	}
	var target bytes.Buffer
	if e.size == 0 || e.size > maxTarget {
		return refuse("link %q has a target of %d bytes", path, e.size)
	}
	if err := content.unpack(ctx, e, &target); err != nil {
		return err
	}
	n.target = target.String()
	c.byPath[path] = n
	if c.links = append(c.links, n); len(c.links) > maxLinks {
		return refuse("more than %d symbolic links", maxLinks)
	}
	return c.checkNumber()
}

// addDirectory is for a directory that has an entry. Several entries for one are harmless, and jar files that
// were merged of others have them.
func (c *contents) addDirectory(path string, modified time.Time) error {
	if err := c.imply(path + "/"); err != nil {
		return err
	}
	c.byPath[path].modified = modified
	return c.checkNumber()
}

// imply adds the directories above a path that are not there yet.
func (c *contents) imply(path string) error {
	var missing []string
	for i := strings.LastIndexByte(path, '/'); i > 0; i = strings.LastIndexByte(path[:i], '/') {
		k, there := c.nodes[path[:i]]
		if there && k != directoryKind {
			return refuse("%q is a directory and something else", path[:i])
		}
		if there {
			break
		}
		missing = append(missing, path[:i])
	}
	for i := len(missing) - 1; i >= 0; i-- {
		n := &node{path: missing[i]}
		c.nodes[n.path] = directoryKind
		c.byPath[n.path] = n
		c.directories = append(c.directories, n)
	}
	return nil
}

func (c *contents) checkNumber() error {
	if len(c.nodes) > maxNodes {
		return refuse("more than %d files and directories", maxNodes)
	}
	return nil
}

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
