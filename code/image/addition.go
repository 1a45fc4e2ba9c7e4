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
	// Dir makes a directory, with this mode if there is none yet; nothing else then counts.
	Dir fs.FileMode
	// Content is what the file has, in place of the image's own.
	Content []byte
	// Append puts Content behind what the image's file has.
	Append bool
	// Present leaves out a file that the image does not have.
	Present bool
}

// maxAppended bounds the file that something is appended to.
const maxAppended = 16 << 20

// add puts an addition into a tree.
func (a Addition) add(root *tree.Node) error {
	at, err := locate(root, a.Path, true, implied)
	if err != nil {
		return fmt.Errorf("add %s: %w", a.Path, err)
	}
	old := at.node()
	switch {
	case a.Dir != 0:
		if old == nil {
			at.dir().Children[at.name] = tree.Directory(a.Dir, time.Time{})
		} else if !old.Mode.IsDir() {
			return fmt.Errorf("add %s: the image has a file there", a.Path)
		}
		return nil
	case old != nil && old.Mode.IsDir():
		return fmt.Errorf("add %s: the image has a directory there", a.Path)
	case old == nil && a.Present:
		return nil
	}
	content := a.Content
	if a.Append && old != nil && old.Content != nil {
		before, err := readAll(old.Content)
		if err != nil {
			return fmt.Errorf("add %s: %w", a.Path, err)
		}
		if len(before) > 0 && !bytes.HasSuffix(before, []byte("\n")) {
			before = append(before, '\n')
		}
		content = append(before, content...)
	}
	at.dir().Children[at.name] = tree.File(0o644, time.Time{}, tree.Bytes(content))
	return nil
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
