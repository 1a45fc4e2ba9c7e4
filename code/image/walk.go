package image

import (
	"fmt"
	"io/fs"
	"strings"
	"time"

	"hotaru/code/tree"
)

const (
	// maxFollowed is how many links Linux follows for one path.
	maxFollowed = 40
	// maxElement is Linux's NAME_MAX, maxPath its PATH_MAX with room for what is above; in bytes.
	maxElement, maxPath = 255, 3840
	maxTarget           = 4095
	// maxDepth is in path elements, links resolved.
	maxDepth = 256
)

// place is a directory and a name in it.
type place struct {
	// above are the directories from the root to the one, which is last.
	above []*tree.Node
	name  string // empty: the root itself
}

func (p place) dir() *tree.Node { return p.above[len(p.above)-1] }

// node is what is there, or nil.
func (p place) node() *tree.Node {
	if p.name == "" {
		return p.dir()
	}
	return p.dir().Children[p.name]
}

// elements cuts a path at its slashes. It may start with one; "." and empty elements count for nothing.
func elements(path string) ([]string, error) {
	if len(path) > maxPath || strings.ContainsRune(path, 0) {
		return nil, fmt.Errorf("the name %.50q is too long or contains NUL", path)
	}
	var all []string
	for e := range strings.SplitSeq(path, "/") {
		switch {
		case e == "" || e == ".":
		case len(e) > maxElement:
			return nil, fmt.Errorf("%.50q has an element of more than %d bytes", path, maxElement)
		default:
			all = append(all, e)
		}
	}
	return all, nil
}

// locate walks to a path as the kernel would whose root is the tree: links above the last element are followed,
// absolute ones from the tree's root, and ".." stops there. A last element that is a link is followed only if asked.
// Directories that are missing on the way are made by missing, unless it is nil.
func locate(root *tree.Node, path string, follow bool, missing func() *tree.Node) (place, error) {
	left, err := elements(path)
	if err != nil {
		return place{}, err
	}
	at := []*tree.Node{root}
	for followed := 0; len(left) > 0; {
		e := left[0]
		last := len(left) == 1
		left = left[1:]
		if e == ".." {
			if len(at) > 1 {
				at = at[:len(at)-1]
			}
			continue
		}
		if len(at) > maxDepth {
			return place{}, fmt.Errorf("%.50q is deeper than %d", path, maxDepth)
		}
		dir := at[len(at)-1]
		n := dir.Children[e]
		isLink := n != nil && n.Mode.Type() == fs.ModeSymlink
		if last && (!isLink || !follow) {
			return place{above: at, name: e}, nil
		}
		switch {
		case isLink:
			if followed++; followed > maxFollowed {
				return place{}, fmt.Errorf("%.50q: too many links", path)
			}
			target, err := elements(n.Target)
			if err != nil {
				return place{}, err
			}
			if strings.HasPrefix(n.Target, "/") {
				at = at[:1:1]
			}
			left = append(target, left...)
		case n == nil && missing == nil:
			return place{}, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		case n == nil:
			n = missing()
			dir.Children[e] = n
			at = append(at[:len(at):len(at)], n)
		case !n.Mode.IsDir():
			return place{}, fmt.Errorf("%.50q leads through a file", path)
		default:
			at = append(at[:len(at):len(at)], n)
		}
	}
	return place{above: at}, nil
}

// implied is a directory that only a longer name speaks of.
func implied() *tree.Node { return tree.Directory(0o755, time.Time{}) }
