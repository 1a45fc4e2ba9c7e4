package code

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	isPlain     = "-rw-r--r-- x"
	isProgram   = "-rwxr-xr-x x"
	isDirectory = "drwxr-xr-x "
	isLink      = "Lrwxrwxrwx "
)

func TestRootUnpacks(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // the process's must not matter
	file := func(name string) crafted { return crafted{name: name, mode: regular644, content: "x"} }
	moded := func(mode uint32) []byte { return build(t, crafted{name: "f", mode: mode, content: "x"}) }
	link := func(name, target string) crafted { return crafted{name: name, mode: symlink, content: target} }
	packed := func(name string) crafted {
		return crafted{name: name, mode: regular644, content: "x", method: methodDeflated}
	}
	plainFile := map[string]string{"f": isPlain}
	for name, c := range map[string]struct {
		zip  []byte
		want map[string]string // without the root itself
	}{
		"stored":           {build(t, file("f")), plainFile},
		"deflated":         {build(t, packed("f"), packed("g")), map[string]string{"f": isPlain, "g": isPlain}},
		"only a directory": {build(t, crafted{name: "d/", mode: directory755}), map[string]string{"d": isDirectory}},
		"names to clean": {build(t, crafted{name: "./", mode: directory755}, file("./a//b/./f")),
			map[string]string{"a": isDirectory, "a/b": isDirectory, "a/b/f": isPlain}},
		"directory after its file, twice": {build(t, file("d/f"), crafted{name: "d/", mode: directory755}, crafted{name: "d", mode: directory755}),
			map[string]string{"d": isDirectory, "d/f": isPlain}},
		"names that only look bad": {build(t, file("..f"), file("..."), file("ab:c"), file("\xff\n")),
			map[string]string{"..f": isPlain, "...": isPlain, "ab:c": isPlain, "\xff\n": isPlain}},
		"deepest and longest": {build(t, file(strings.Repeat("a/", 127)+strings.Repeat("b", 255))), nil},

		"executable for one":            {moded(0o100701), map[string]string{"f": isProgram}},
		"unreadable":                    {moded(0o100000), plainFile},
		"writable for all":              {moded(0o100666), plainFile},
		"setuid, setgid, sticky":        {moded(0o107755), map[string]string{"f": isProgram}},
		"mode without a type":           {moded(0o644), plainFile},
		"sticky directory":              {build(t, crafted{name: "d/", mode: 0o043777}), map[string]string{"d": isDirectory}},
		"directory with a file's mode":  {build(t, crafted{name: "d/", mode: regular644}), map[string]string{"d": isDirectory}},
		"made on Windows":               {build(t, crafted{name: "bootstrap", content: "x", creator: 11, attrs: 0x20}), map[string]string{"bootstrap": isProgram}},
		"made on Unix without a mode":   {build(t, crafted{name: "bootstrap", content: "x"}), map[string]string{"bootstrap": isProgram}},
		"made on macOS":                 {build(t, crafted{name: "f", content: "x", creator: creatorMacOS, attrs: regular644 << 16}), plainFile},
		"Windows' directory, no slash":  {build(t, crafted{name: "d", creator: 10, attrs: dosDirectory}), map[string]string{"d": isDirectory}},
		"MS-DOS attributes are no mode": {build(t, crafted{name: "f", content: "x", creator: 10, attrs: symlink << 16}), map[string]string{"f": isProgram}},

		"links that stay inside": {build(t, file("x/y/z/f"), link("a", "x/y/z/f"), link("x/up", "../a"), link("here", "."), link("x/y/d", "..//./y/")),
			map[string]string{"x": isDirectory, "x/y": isDirectory, "x/y/z": isDirectory, "x/y/z/f": isPlain,
				"a": isLink + "x/y/z/f", "x/up": isLink + "../a", "here": isLink + ".", "x/y/d": isLink + "..//./y/"}},
		"link of 40 links":                 {build(t, chain(40)...), nil},
		"link to nothing":                  {build(t, link("l", "no/such/../thing")), map[string]string{"l": isLink + "no/such/../thing"}},
		"link that only seems to lead out": {build(t, file("x/y/z"), link("d", "x/y"), link("l", "d/../../x")), nil},

		"zip64":                             {buildWith(t, archiveParts{zip64: true}, file("f")), plainFile},
		"zip64 after a program":             {buildWith(t, archiveParts{zip64: true, prefix: "#!/bin/sh\n", relative: true}, file("f")), plainFile},
		"data descriptor":                   {build(t, crafted{name: "f", mode: regular644, content: "x", method: 8, descriptor: true}), plainFile},
		"self-extracting":                   {buildWith(t, archiveParts{prefix: "#!/bin/sh\nexit\n"}, file("f")), plainFile},
		"self-extracting, offsets not told": {buildWith(t, archiveParts{prefix: "#!/bin/sh\nexit\n", relative: true}, file("f")), plainFile},
		"bytes before the end":              {buildWith(t, archiveParts{gap: "PK\x05\x05\x00\x00"}, file("f")), plainFile},
		"comment":                           {buildWith(t, archiveParts{comment: "made by hand"}, file("f")), plainFile},
		"longest comment":                   {buildWith(t, archiveParts{comment: strings.Repeat("c", 65535)}, file("f")), plainFile},
		"local extra field":                 {build(t, crafted{name: "f", mode: regular644, content: "x", localExtra: "\xca\xfe\x00\x00"}), plainFile},
		"torn extra field":                  {build(t, crafted{name: "f", mode: regular644, content: "x", extra: "\xca\xfe\xff\x00ab"}), plainFile},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			p, err := h.Put(t.Context(), c.zip)
			if err != nil {
				t.Fatal(err)
			}
			dir, err := h.Root(t.Context(), p.Digest)
			if err != nil {
				t.Fatal(err)
			}
			got := snapshot(t, dir)
			if got["."] != isDirectory {
				t.Errorf("the root is %q, want %q", got["."], isDirectory)
			}
			delete(got, ".")
			if diff := cmp.Diff(c.want, got); c.want != nil && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRootKeepsTimes(t *testing.T) {
	extended := time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)
	field := &bytes.Buffer{}
	put(field, uint16(extraTimestamp), uint16(5), byte(1), uint32(extended.Unix()))
	h := open(t)
	p, err := h.Put(t.Context(), build(t,
		crafted{name: "d/", mode: directory755, date: 40<<9 | 2<<5 | 3, time: 4<<11 | 5<<5 | 3},
		crafted{name: "d/f", mode: regular644, content: "x", extra: field.String()},
		crafted{name: "d/e/none", mode: regular644},
	))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := h.Root(t.Context(), p.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]time.Time{
		"d":   time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC),
		"d/f": extended,
		// MS-DOS's zero: month 0 of 1980, day 0.
		"d/e/none": time.Date(1979, 11, 30, 0, 0, 0, 0, time.UTC),
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !info.ModTime().Equal(want) {
			t.Errorf("%s is of %v, want %v", name, info.ModTime().UTC(), want)
		}
	}
}

// TestRootUnpacksWhatGoPacks has the archive made by somebody else's code.
func TestRootUnpacksWhatGoPacks(t *testing.T) {
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	want := map[string]string{".": isDirectory}
	for name, content := range map[string]string{"index.js": "exports.handler", "lib/big.bin": strings.Repeat("0123456789", 50_000), "lib/empty": ""} {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(0o640)
		f, err := w.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		want[name] = fs.FileMode(0o644).String() + " " + content
	}
	want["lib"] = isDirectory
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	h := open(t)
	p, err := h.Put(t.Context(), packed.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := h.Root(t.Context(), p.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, snapshot(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
