package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"hotaru/code/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var when = time.Unix(1_700_000_000, 0)

// describe says what a tree is, a line for each name.
func describe(n *tree.Node, path string, lines map[string]string) {
	switch n.Mode.Type() {
	case fs.ModeDir:
		lines[path] = line(n.Mode, n.Modified, "")
		for name, c := range n.Children {
			describe(c, filepath.Join(path, name), lines)
		}
	case fs.ModeSymlink:
		lines[path] = line(n.Mode, time.Time{}, n.Target)
	default:
		var content []byte
		if n.Content != nil {
			r, err := n.Content.Open()
			if err == nil {
				content, err = io.ReadAll(r)
			}
			if err != nil {
				panic(err)
			}
		}
		lines[path] = line(n.Mode, n.Modified, string(content))
	}
}

func line(mode fs.FileMode, modified time.Time, content string) string {
	if mode.Type() == fs.ModeSymlink {
		return "link " + content
	}
	if len(content) > 100 {
		content = fmt.Sprintf("%s... %d %x", content[:50], len(content), hash(content))
	}
	return fmt.Sprintf("%v %d %q", mode, modified.Unix(), content)
}

func hash(s string) (h uint64) {
	for _, b := range []byte(s) {
		h = h*1099511628211 + uint64(b)
	}
	return h
}

// look says what a directory is, in the same words.
func look(dir string) (map[string]string, error) {
	lines := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		var content []byte
		switch info.Mode().Type() {
		case fs.ModeDir:
		case fs.ModeSymlink:
			target, failed := os.Readlink(path)
			content, err = []byte(target), failed
		default:
			content, err = os.ReadFile(path)
		}
		lines[name] = line(info.Mode(), info.ModTime(), string(content))
		return err
	})
	return lines, err
}

// sample has everything that is hard: a tail, none, whole blocks, long names and targets, many names, one file twice.
func sample() *tree.Node {
	root := tree.Directory(0o755, when)
	put := func(name string, n *tree.Node) { root.Children[name] = n }
	for _, size := range []int{0, 1, 4095, 4096, 4097, 8192, 3_000_001} {
		put(fmt.Sprint("file-", size), tree.File(0o640, when, tree.Bytes(bytes.Repeat([]byte("hotaru "), size/7+1)[:size])))
	}
	put("nothing", tree.File(0o600, when, nil))
	put("old", tree.File(0o755, time.Time{}, tree.Bytes([]byte("x"))))
	put("empty", tree.Directory(0o700, when))
	put("tmp", tree.Directory(0o777|fs.ModeSticky, when))
	put("link", tree.Link("file-1", when))
	put("dangling", tree.Link("/no/such/place", when))
	put("long", tree.Link(strings.Repeat("a/", 2047)+"b", when))
	put(strings.Repeat("ü", 127)+"x", tree.File(0o644, when, tree.Bytes([]byte("long name"))))
	put("with\nnewline and \xff", tree.File(0o644, when, tree.Bytes([]byte("odd name"))))
	twice := tree.Bytes([]byte("under two names"))
	put("twice", tree.File(0o644, when, twice))
	many := tree.Directory(0o755, when)
	for i := range 3000 {
		many.Children[fmt.Sprint("n", i)] = tree.File(0o644, when, tree.Bytes([]byte(strings.Repeat("z", i%600))))
	}
	many.Children["again"] = tree.File(0o644, when, twice)
	deep := many
	for range 60 {
		deep.Children["d"] = tree.Directory(0o755, when)
		deep = deep.Children["d"]
	}
	put("many", many)
	return root
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	n := sample()
	if err := n.WriteDirectory(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	same(t, n, dir)
	first, err := os.Stat(filepath.Join(dir, "twice"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.Stat(filepath.Join(dir, "many/again"))
	if err != nil || !os.SameFile(first, second) {
		t.Errorf("one file under two names became two: %v", err)
	}
}

// same compares a tree with what it became.
func same(t testing.TB, n *tree.Node, dir string) {
	t.Helper()
	got, err := look(dir)
	if err != nil {
		t.Error(err)
		return
	}
	want := map[string]string{}
	describe(n, ".", want)
	if n.Modified.IsZero() {
		delete(want, ".")
		delete(got, ".")
	}
	for name, l := range want { // the zero time is 1970
		want[name] = strings.Replace(l, fmt.Sprint(" ", time.Time{}.Unix(), " "), " 0 ", 1)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-tree +kernel) %s", diff)
	}
}

// drawn is a tree of any shape.
func drawn(t *rapid.T, depth int) *tree.Node {
	n := tree.Directory(fs.FileMode(rapid.Uint32Range(0, 0o777).Draw(t, "mode"))|0o500, time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "time"), 0))
	for range rapid.IntRange(0, 8).Draw(t, "children") {
		name := rapid.StringMatching(`[a-zA-Z0-9._ é-]{1,60}`).Draw(t, "name")
		if name == "." || name == ".." {
			continue
		}
		switch kind := rapid.IntRange(0, 4).Draw(t, "kind"); {
		case kind == 0 && depth < 5:
			n.Children[name] = drawn(t, depth+1)
		case kind == 1:
			n.Children[name] = tree.Link(rapid.StringMatching(`[a-z/.]{1,300}`).Draw(t, "target"), when)
		default:
			size := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(3900, 4200), rapid.IntRange(8000, 20000)).Draw(t, "size")
			content := bytes.Repeat([]byte{byte(rapid.IntRange(0, 255).Draw(t, "byte")), 'x'}, size)[:size]
			n.Children[name] = tree.File(fs.FileMode(rapid.Uint32Range(0, 0o777).Draw(t, "mode"))|0o400, when, tree.Bytes(content))
		}
	}
	return n
}

func TestRefusals(t *testing.T) {
	failing := errors.New("the disk is gone")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	content := func(size int64, text string, err error) *tree.Content {
		return &tree.Content{Size: size, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(text)), err
		}}
	}
	for name, test := range map[string]struct {
		ctx     context.Context
		content *tree.Content
		want    error
	}{
		"shorter":      {t.Context(), content(5, "four", nil), nil},
		"longer":       {t.Context(), content(5, "longer", nil), nil},
		"much longer":  {t.Context(), content(5000, strings.Repeat("x", 9000), nil), nil},
		"no content":   {t.Context(), content(5, "", failing), failing},
		"given up":     {cancelled, content(4, "four", nil), context.Canceled},
		"longer block": {t.Context(), content(4096, strings.Repeat("x", 4097), nil), nil},
	} {
		n := tree.Directory(0o755, when)
		n.Children["file"] = tree.File(0o644, when, test.content)
		file, err := os.Create(filepath.Join(t.TempDir(), "image"))
		if err != nil {
			t.Fatal(err)
		}
		for form, err := range map[string]error{
			"image": n.WriteImage(test.ctx, file), "directory": n.WriteDirectory(test.ctx, t.TempDir()),
		} {
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%s, %s: %v, want %v", name, form, err, test.want)
			}
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSameBytes: the same tree is the same image, whatever the order of a map.
func TestSameBytes(t *testing.T) {
	var images [2][]byte
	for i := range images {
		images[i] = image(t, sample())
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("two images of one tree differ")
	}
}

// image makes an image and returns its bytes.
func image(t testing.TB, n *tree.Node) []byte {
	t.Helper()
	content, err := os.ReadFile(imageFile(t, n))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func imageFile(t testing.TB, n *tree.Node) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.WriteImage(t.Context(), file), file.Close()); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}
