package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"hotaru/code/tree"
)

// Addition is a file or directory of ours in an image's root. Links of the image's on the way to it are followed as
// they are inside.
type Addition struct {
	// Path is absolute.
	Path string
	// Dir is the mode of a directory that is made if there is none; nothing else counts then.
	Dir fs.FileMode
	// After is where to look, in this order, for a file of the image whose content comes first.
	After []string
	// Content comes after that; without it, it takes the place of what the image has.
	Content []byte
	// Present leaves the addition out if the image has no file there.
	Present bool
}

// maxAppended bounds the file that something is appended to.
const maxAppended = 16 << 20

// add puts an addition into a tree.
func (a Addition) add(root *tree.Node) error {
	if a.Present {
		if at, err := locate(root, a.Path, true, nil); err != nil || at.node() == nil {
			return nil //nolint:nilerr // no way there: no file there
		}
	}
	at, err := locate(root, a.Path, true, implied)
	if err != nil {
		return fmt.Errorf("add %s: %w", a.Path, err)
	}
	old := at.node()
	switch {
	case a.Dir != 0 && old == nil:
		at.dir().Children[at.name] = tree.Directory(a.Dir, time.Time{})
		return nil
	case a.Dir != 0 && old.Mode.IsDir():
		return nil
	case a.Dir != 0:
		return fmt.Errorf("add %s: the image has a file there", a.Path)
	case old != nil && old.Mode.IsDir():
		return fmt.Errorf("add %s: the image has a directory there", a.Path)
	}
	content, err := a.before(root)
	if err != nil {
		return fmt.Errorf("add %s: %w", a.Path, err)
	}
	at.dir().Children[at.name] = tree.File(0o644, time.Time{}, tree.Bytes(append(content, a.Content...)))
	return nil
}

// before is the content of the first file of After that there is, as whole lines.
func (a Addition) before(root *tree.Node) ([]byte, error) {
	for _, path := range a.After {
		at, err := locate(root, path, true, nil)
		if err != nil {
			continue // a way that leads nowhere
		}
		n := at.node()
		if n == nil || n.Mode.IsDir() {
			continue
		}
		if n.Content == nil {
			return nil, nil
		}
		content, err := readAll(n.Content)
		if err == nil && !bytes.HasSuffix(content, []byte("\n")) {
			content = append(content, '\n')
		}
		return content, err
	}
	return nil, nil
}

func readAll(c *tree.Content) ([]byte, error) {
	if c.Size > maxAppended {
		return nil, fmt.Errorf("the image's file has %d bytes", c.Size)
	}
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}
