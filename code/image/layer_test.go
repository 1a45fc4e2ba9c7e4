package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// spooled is an unpacker whose spool ends with the test.
func spooled(t testing.TB) *unpacker {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "spool"))
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return newUnpacker(f)
}

func TestLayerRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		layer entries
		want  string
	}{
		"upwards":               {entries{file("a/../../etc/passwd", "x")}, "leads upwards"},
		"long element":          {entries{file(strings.Repeat("n", 256), "x")}, "more than 255 bytes"},
		"long path":             {entries{file(strings.Repeat("n/", 2000)+"n", "x")}, "too long"},
		"deep":                  {entries{dir(strings.Repeat("n/", 400), 0o755)}, "deeper than 256"},
		"through a file":        {entries{file("a", "x"), file("a/b", "x")}, "leads through a file"},
		"links in a circle":     {entries{link("a", "b"), link("b", "a"), file("a/x", "x")}, "too many links"},
		"link to itself":        {entries{link("a", "a/a"), file("a/x", "x")}, "too many links"},
		"hard link to nothing":  {entries{hard("a", "b")}, "no file"},
		"hard link to a dir":    {entries{dir("b", 0o755), hard("a", "b")}, "no file"},
		"hard link upwards":     {entries{hard("a", "../../../etc/shadow")}, "does not exist"},
		"whiteout of nothing":   {entries{file(".wh.", "")}, "of nothing"},
		"whiteout of the above": {entries{file("a/.wh...", "")}, "of nothing"},
		"empty target":          {entries{link("a", "")}, "empty or too long"},
		"unknown kind":          {entries{{Name: "a", Typeflag: 'Z'}}, "unknown"},
	} {
		err := spooled(t).apply(t.Context(), bytes.NewReader(archive(t, test.layer)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestLayerBounds(t *testing.T) {
	small := spooled(t)
	small.limit = 100_000
	twice := entries{file("a", strings.Repeat("x", 40_000)), hard("b", "a"), hard("c", "a")}
	for name, test := range map[string]struct {
		layer []byte
		want  error
	}{
		"a large file":    {archive(t, entries{file("a", strings.Repeat("x", 200_000))}), errTooLarge},
		"many hard links": {archive(t, twice), errTooLarge},
		"nothing, long":   {append(archive(t, nil), make([]byte, 200_000)...), errTooLarge},
		"cut short":       {archive(t, twice)[:1000], nil},
	} {
		u := spooled(t)
		u.limit = small.limit
		if err := u.apply(t.Context(), bytes.NewReader(test.layer)); err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := small.apply(cancelled, bytes.NewReader(archive(t, twice))); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// TestLayers puts layers over each other.
func TestLayers(t *testing.T) {
	for _, test := range []struct {
		name   string
		layers []entries
		want   map[string]string
	}{
		{"nothing", []entries{nil}, map[string]string{}},
		{
			"kinds and modes",
			[]entries{{
				dir("./", 0o755), dir("tmp", 0o1777), {Name: "su", Typeflag: tar.TypeReg, Mode: 0o6755}, {Name: "null", Typeflag: tar.TypeChar},
				{Name: "pipe", Typeflag: tar.TypeFifo}, {Name: "disk", Typeflag: tar.TypeBlock}, dir("set", 0o2750), file("/abs/./file", "x"),
				link("l", "/abs/file"), hard("h", "abs/file"), hard("hl", "l"),
			}},
			map[string]string{"tmp": "d4000777", "su": "f755 ", "set": "d750", "abs": "d755", "abs/file": "f644 x", "l": "l /abs/file", "h": "f644 x", "hl": "l /abs/file"},
		},
		{
			"whiteouts",
			[]entries{
				{file("gone", "1"), file("kept", "1"), file("again", "1"), file("d/a", "1"), file("d/b", "1"), file("o/low", "1"), dir("o/sub", 0o700), file("o/sub/low", "1")},
				{file(".wh.gone", ""), file(".wh.never", ""), file(".wh.again", ""), file("again", "2"), file("d/.wh.a", ""), file("o/high", "2"), file("o/.wh..wh..opq", ""), file(".wh..wh.plnk", "")},
			},
			map[string]string{"kept": "f644 1", "again": "f644 2", "d": "d755", "d/b": "f644 1", "o": "d755", "o/high": "f644 2"},
		},
		{
			"a whiteout after what replaces",
			[]entries{
				{file("f", "1"), file("d/low", "1"), file("d/e/low", "1")},
				{file("f", "2"), file(".wh.f", ""), file("d/e/high", "2"), file(".wh.d", "")},
			},
			map[string]string{"f": "f644 2", "d": "d755", "d/e": "d755", "d/e/high": "f644 2"},
		},
		{
			"replacing",
			[]entries{
				{dir("d", 0o700), file("d/x", "1"), file("f", "1"), link("s", "d"), dir("e", 0o755), file("e/x", "1"), file("dev", "1")},
				{dir("d", 0o755), dir("f", 0o755), dir("s", 0o755), file("e", "2"), {Name: "dev", Typeflag: tar.TypeChar}},
			},
			map[string]string{"d": "d755", "d/x": "f644 1", "f": "d755", "s": "d755", "e": "f644 2"},
		},
		{
			"through links",
			[]entries{
				{link("lib", "usr/lib"), dir("usr/lib", 0o755), link("var/run", "/run"), link("up", "../../../usr"), link("new", "not/there")},
				{file("lib/libc.so", "2"), file("var/run/pid", "2"), file("up/bin/sh", "2"), file("new/x", "2")},
			},
			map[string]string{
				"lib": "l usr/lib", "usr": "d755", "usr/lib": "d755", "usr/lib/libc.so": "f644 2", "var": "d755", "var/run": "l /run", "run": "d755",
				"run/pid": "f644 2", "up": "l ../../../usr", "usr/bin": "d755", "usr/bin/sh": "f644 2", "new": "l not/there", "not": "d755",
				"not/there": "d755", "not/there/x": "f644 2",
			},
		},
		{
			"a hard link outlives what it was made of",
			[]entries{{file("a", "1"), hard("b", "a")}, {file(".wh.a", ""), hard("c", "b"), file("b", "2")}},
			map[string]string{"b": "f644 2", "c": "f644 1"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := spooled(t)
			for _, layer := range test.layers {
				must(t, u.apply(t.Context(), bytes.NewReader(archive(t, layer))))
			}
			dir := t.TempDir()
			must(t, u.root.WriteDirectory(t.Context(), dir))
			if diff := cmp.Diff(test.want, look(t, dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzLayer: whatever the layers are, they are refused or make a directory that holds itself.
func FuzzLayer(f *testing.F) {
	f.Add(archive(f, entries{dir("d", 0o755), file("d/a", "x"), link("l", "d"), hard("h", "d/a")}),
		archive(f, entries{file("l/b", "y"), file("d/.wh.a", ""), file(".wh..wh..opq", ""), hard("../h", "h")}))
	f.Add(archive(f, entries{link("a", "../../.."), link("b", "/")}), archive(f, entries{file("a/tmp/x", "x"), file("b/y", "y")}))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		u := spooled(t)
		u.limit = 1 << 20
		for _, layer := range [][]byte{first, second} {
			if u.apply(t.Context(), bytes.NewReader(layer)) != nil {
				return
			}
		}
		above := t.TempDir()
		dir := filepath.Join(above, "in", "root")
		must(t, os.MkdirAll(dir, 0o700))
		must(t, u.root.WriteDirectory(t.Context(), dir))
		if left, err := os.ReadDir(above); err != nil || len(left) != 1 {
			t.Errorf("beside the root: %v, %v", left, err)
		}
		if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
			t.Errorf("beside the root: %v, %v", left, err)
		}
	})
}
