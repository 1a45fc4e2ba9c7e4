package code

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/store"
)

// mergeAll puts packages and merges them in order.
func mergeAll(t testing.TB, h *harness, zips ...[]byte) (string, []string, error) {
	t.Helper()
	digests := make([]string, len(zips))
	for i, zip := range zips {
		digests[i] = mustPut(t, h, zip).Digest
	}
	dir, err := h.Merged(t.Context(), digests)
	return dir, digests, err
}

func plain(name, content string) crafted {
	return crafted{name: name, mode: regular644, content: content}
}

func linkTo(name, target string) crafted { return crafted{name: name, mode: symlink, content: target} }

func TestMergedRefusals(t *testing.T) {
	h := open(t)
	known := mustPut(t, h, sample(t, "x")).Digest
	for _, digests := range [][]string{nil, {""}, {known, "../records"}, {known, strings.Repeat("0", 64)}} {
		if _, err := h.Merged(t.Context(), digests); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Merged(%q): %v, want ErrNotFound", digests, err)
		}
	}
	many := make([]crafted, maxNodes/2+1)
	more := make([]crafted, len(many))
	for i := range many {
		many[i], more[i] = plain(fmt.Sprint("a", i), ""), plain(fmt.Sprint("b", i), "")
	}
	for name, tc := range map[string]struct {
		zips   [][]byte
		reason string
	}{
		"a link leads out through another's link": {[][]byte{
			build(t, plain("d/sub/f", "x"), linkTo("up", "d/sub/../..")), build(t, plain("k", "x"), linkTo("d/sub", "../k")),
		}, "out of the package"},
		"links in a circle": {[][]byte{
			build(t, linkTo("a", "b")), build(t, linkTo("b", "a")),
		}, "circles"},
		"too many": {[][]byte{build(t, many...), build(t, more...)}, "more than 100000"},
	} {
		_, digests, err := mergeAll(t, h, tc.zips...)
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.Code != invalidParameter || !strings.Contains(refusal.Message, tc.reason) {
			t.Errorf("%s: error %v, want a refusal with %q", name, err, tc.reason)
		}
		if _, err := os.Stat(h.path(rootsDir, MergedDigest(digests))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something was left: %v", name, err)
		}
	}
	wantEmpty(t, h.path(tmpDir))
}

func TestMerged(t *testing.T) {
	const text, isLink = "-rw-r--r-- ", "Lrwxrwxrwx "
	for name, tc := range map[string]struct {
		zips [][]byte
		want map[string]string
	}{
		"one": {[][]byte{build(t, plain("f", "1"))}, map[string]string{"f": text + "1"}},
		"beside each other": {[][]byte{build(t, plain("d/a", "1")), build(t, plain("d/b", "2"), plain("e/c", "2"))},
			map[string]string{"d": isDirectory, "d/a": text + "1", "d/b": text + "2", "e": isDirectory, "e/c": text + "2"}},
		"the last wins": {[][]byte{build(t, plain("d/f", "1")), build(t, plain("d/f", "2")), build(t, plain("d/f", "3"))},
			map[string]string{"d": isDirectory, "d/f": text + "3"}},
		"the same twice": {[][]byte{build(t, plain("f", "1")), build(t, plain("f", "1"))}, map[string]string{"f": text + "1"}},
		"a file over a directory": {[][]byte{build(t, plain("d/e/f", "1"), plain("g", "1")), build(t, plain("d", "2"))},
			map[string]string{"d": text + "2", "g": text + "1"}},
		"a directory over a file": {[][]byte{build(t, plain("d", "1")), build(t, plain("d/f", "2"))},
			map[string]string{"d": isDirectory, "d/f": text + "2"}},
		"a link over a directory": {[][]byte{build(t, plain("d/f", "1")), build(t, plain("e/g", "2"), linkTo("d", "e"))},
			map[string]string{"d": isLink + "e", "e": isDirectory, "e/g": text + "2"}},
		"a directory over a link does not follow it": {
			[][]byte{build(t, plain("e/g", "1"), linkTo("d", "e")), build(t, plain("d/f", "2"))},
			map[string]string{"d": isDirectory, "d/f": text + "2", "e": isDirectory, "e/g": text + "1"}},
		"a link into another layer": {[][]byte{build(t, linkTo("l", "d/f")), build(t, plain("d/f", "2"))},
			map[string]string{"l": isLink + "d/f", "d": isDirectory, "d/f": text + "2"}},
		"a link that is covered no longer counts": {
			[][]byte{build(t, linkTo("a", "b")), build(t, linkTo("b", "a")), build(t, plain("a", "3"))},
			map[string]string{"a": text + "3", "b": isLink + "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			dir, digests, err := mergeAll(t, h, tc.zips...)
			must(t, err)
			tc.want["."] = isDirectory
			if diff := cmp.Diff(tc.want, snapshot(t, dir)); diff != "" {
				t.Errorf("merged (-want +got):\n%s", diff)
			}
			if want := h.path(rootsDir, MergedDigest(digests), rootName); dir != want {
				t.Errorf("merged in %s, want %s", dir, want)
			}
		})
	}
}

func TestMergedDigestTellsOrders(t *testing.T) {
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	seen := map[string][]string{}
	for _, digests := range [][]string{nil, {a}, {b}, {a, b}, {b, a}, {a, a}, {a, b, a}} {
		digest := MergedDigest(digests)
		if other, ok := seen[digest]; ok {
			t.Errorf("%v and %v are both %s", digests, other, digest)
		}
		seen[digest] = digests
	}
	if MergedDigest([]string{a}) != a || MergedDigest(nil) != "" {
		t.Error("one package has another name, or none has one")
	}
}

// TestSweepOfMerged: what was merged goes and comes without its packages, and outlives them.
func TestSweepOfMerged(t *testing.T) {
	h := open(t)
	h.Grace = 0
	dir, digests, err := mergeAll(t, h, build(t, plain("a", "1")), build(t, plain("b", "2")))
	must(t, err)
	want := map[string]string{".": isDirectory, "a": "-rw-r--r-- 1", "b": "-rw-r--r-- 2"}
	sweep(t, h, func(digest string) bool { return digest != MergedDigest(digests) })
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("swept, but %v", err)
	}
	again, err := h.Merged(t.Context(), digests)
	must(t, err)
	sweep(t, h, func(digest string) bool { return digest == MergedDigest(digests) })
	if diff := cmp.Diff(want, snapshot(t, again)); diff != "" {
		t.Errorf("merged, without its packages (-want +got):\n%s", diff)
	}
	h = openOn(t, h.dir, h.blobs)
	if _, err := h.Merged(t.Context(), digests); err != nil {
		t.Errorf("in the next process: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h = openOn(t, h.dir, h.blobs)
	sweep(t, h, none)
	if _, err := h.Merged(ctx, digests); err == nil {
		t.Error("made for a caller who is gone")
	}
	wantEmpty(t, h.path(tmpDir))
}

// FuzzMerged merges two archives with an entry each, of arbitrary names and kinds, beside a file that must not change.
func FuzzMerged(f *testing.F) {
	f.Add("d", "d/canary", "../beside", uint32(symlink), uint32(regular755))
	f.Add("d/e/up", "d/e", "../..", uint32(symlink), uint32(symlink))
	f.Add("d/f", "d", "x", uint32(regular644), uint32(regular644))
	f.Fuzz(func(t *testing.T, first, second, content string, firstMode, secondMode uint32) {
		if max(len(first), len(second), len(content)) > full16 {
			t.Skip("longer than a name can be")
		}
		var all []*contents
		for _, e := range []crafted{
			{name: first, mode: firstMode & 0xffff, content: content}, {name: second, mode: secondMode & 0xffff, content: content},
		} {
			c, _, err := read(t.Context(), build(t, plain("a/b/c", "x"), e))
			if err != nil {
				t.Skip(err)
			}
			all = append(all, c)
		}
		c, err := merge(t.Context(), all)
		if err != nil {
			t.Skip(err)
		}
		base := t.TempDir()
		inside, beside := filepath.Join(base, "root"), filepath.Join(base, "beside")
		must(t, errors.Join(os.Mkdir(beside, 0o700), os.Mkdir(inside, 0o700)))
		root, err := os.OpenRoot(inside)
		must(t, err)
		defer root.Close()
		must(t, c.tree(t.Context()).WriteDirectory(t.Context(), inside))
		wantEmpty(t, beside)
		checkTree(t, root, true)
	})
}
