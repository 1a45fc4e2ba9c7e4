package code

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const couldNotUnzip = "Could not unzip uploaded file. Please check your file, then try to upload again."

// refusals are zip files that must be refused as ones that cannot be unpacked, and what the reason must say.
func refusals(t testing.TB) map[string]struct {
	zip    []byte
	reason string
} {
	file := func(name string) crafted { return crafted{name: name, mode: regular644, content: "x"} }
	link := func(name, target string) crafted { return crafted{name: name, mode: symlink, content: target} }
	special := func(mode uint32) []byte { return build(t, crafted{name: "f", mode: mode}) }
	good := build(t, file("f"))
	type refusal = struct {
		zip    []byte
		reason string
	}
	return map[string]refusal{
		"text":                      {[]byte("exports.handler = () => {}"), "not a zip"},
		"one byte":                  {[]byte{0}, "not a zip"},
		"end cut":                   {good[:len(good)-1], "not a zip"},
		"start cut":                 {good[1:], "outside"},
		"directory beyond the file": {edit(good, len(good)-6, 0xff), "outside"},
		"volumes":                   {buildWith(t, archiveParts{diskNo: 1}, file("f")), "volumes"},
		"claims more entries":       {buildWith(t, archiveParts{entries: pointer(uint16(2))}, file("f")), "cut short"},
		"claims too many entries": {edit(buildWith(t, archiveParts{zip64: true}, file("f")),
			-(endLen+locator64Len+end64Len)+35, 0xff), "more than"},

		"parent":               {build(t, file("../f")), "upwards"},
		"parent inside":        {build(t, file("a/../f")), "upwards"},
		"parent at the end":    {build(t, crafted{name: "a/..", mode: directory755}), "upwards"},
		"absolute":             {build(t, file("/etc/f")), "absolute"},
		"two slashes":          {build(t, file("//f")), "absolute"},
		"backslash":            {build(t, file(`..\f`)), "backslash"},
		"backslash inside":     {build(t, file(`a\b`)), "backslash"},
		"drive":                {build(t, file("C:f")), "drive"},
		"drive, small letter":  {build(t, file("c:/f")), "drive"},
		"NUL":                  {build(t, file("f\x00.txt")), "NUL"},
		"no name":              {build(t, file("")), "no name"},
		"file called .":        {build(t, file(".")), "no file's name|has content"},
		"long element":         {build(t, file(strings.Repeat("a", 256))), "255"},
		"long name":            {build(t, file(strings.Repeat("a/", 1600)+"f")), "longer"},
		"deep":                 {build(t, file(strings.Repeat("a/", 128)+"f")), "deeper"},
		"twice":                {build(t, file("f"), file("f")), "twice"},
		"twice by ./":          {build(t, file("f"), file("./f")), "twice"},
		"twice by //":          {build(t, file("a/f"), file("a//f")), "twice"},
		"twice by /./":         {build(t, file("a/f"), file("a/./f")), "twice"},
		"file then directory":  {build(t, file("a"), crafted{name: "a/", mode: directory755}), "something else"},
		"directory then file":  {build(t, crafted{name: "a/", mode: directory755}, file("a")), "twice"},
		"file then below it":   {build(t, file("a"), file("a/b")), "something else"},
		"below it then file":   {build(t, file("a/b"), file("a")), "twice"},
		"link and file":        {build(t, link("a", "b"), file("a")), "twice"},
		"directory has bytes":  {build(t, crafted{name: "a/", mode: directory755, content: "x"}), "has content"},
		"names differ":         {build(t, crafted{name: "good", localName: "evil", mode: regular644}), "local header"},
		"local name is longer": {build(t, crafted{name: "a", localName: "aa", mode: regular644}), "local header"},

		"link leaves":                      {build(t, link("l", "..")), "out of the package"},
		"link leaves below":                {build(t, link("a/b/l", "../../../etc")), "out of the package"},
		"link is absolute":                 {build(t, link("l", "/etc/passwd")), "absolute"},
		"link is empty":                    {build(t, link("l", "")), "target of 0"},
		"link is long":                     {build(t, link("l", strings.Repeat("a", 4096))), "target of 4096"},
		"link beyond what is there leaves": {build(t, file("a/b/f"), link("d", "a/b"), link("l", "no/d/../../..")), "out of"},
		"link of 41 links":                 {build(t, chain(41)...), "circles"},
		"link has NUL":                     {build(t, link("l", "a\x00b")), "NUL"},
		"link of links leaves":             {build(t, link("a/b/up", "../.."), link("l", "a/b/up/..")), "out of the package"},
		"link's chain leaves, before":      {build(t, link("l", "d/../../.."), link("d", "x/y"), file("x/y/f"), link("m", "l")), "out of"},
		"link to an absolute link":         {build(t, link("l", "m/passwd"), link("m", "/etc")), "absolute"},
		"link to itself":                   {build(t, link("l", "l")), "circles"},
		"links in a circle":                {build(t, link("l", "m"), link("m", "l")), "circles"},
		"link of endless length":           {build(t, manyTargets(file)...), "circles"},
		"file through a link":              {build(t, link("d", "a"), file("d/f")), "something else"},
		"file through a link, before":      {build(t, file("d/f"), link("d", "/tmp")), "twice"},
		"link with a slash":                {build(t, crafted{name: "l/", mode: symlink, content: "a"}), "special"},

		"character device":   {special(0o020666), "special"},
		"block device":       {special(0o060666), "special"},
		"fifo":               {special(0o010666), "special"},
		"socket":             {special(0o140666), "special"},
		"unknown type":       {special(0o170666), "special"},
		"encrypted":          {build(t, crafted{name: "f", mode: regular644, content: "x", flags: 1}), "encrypted"},
		"strongly encrypted": {build(t, crafted{name: "f", mode: regular644, content: "x", flags: 1<<6 | 1}), "encrypted"},
		"masked":             {build(t, crafted{name: "f", mode: regular644, content: "x", flags: 1 << 13}), "encrypted"},
		"bzip2":              {build(t, crafted{name: "f", mode: regular644, content: "x", method: 12}), "method 12"},
		"zstd":               {build(t, crafted{name: "f", mode: regular644, content: "x", method: 93}), "method 93"},

		"overlap": {build(t, file("f"), crafted{name: "f", mode: regular644, content: "x", offset: pointer(uint32(0))}), "share"},
		"overlap by quoting": {build(t, crafted{name: "outer", mode: regular644, content: "PK\x03\x04" + strings.Repeat("\x00", 22) +
			"\x01\x00\x00\x00ix"}, crafted{name: "i", mode: regular644, content: "x", offset: pointer(uint32(localLen + 5))}), "share"},
		"local header beyond": {build(t, crafted{name: "f", mode: regular644, offset: pointer(uint32(1 << 30))}), "no local header"},
		"no local header":     {build(t, file("f"), crafted{name: "g", mode: regular644, offset: pointer(uint32(7))}), "no local header"},
		"torn zip64 field":    {build(t, crafted{name: "f", mode: regular644, size: pointer(uint32(full32)), extra: "\x01\x00\x04\x00abcd"}), "torn"},
		"zip64 offset overflows": {build(t, crafted{name: "f", mode: regular644, offset: pointer(uint32(full32)),
			extra: "\x01\x00\x08\x00\xff\xff\xff\xff\xff\xff\xff\xff"}), "no local header"},

		"stored, two sizes":    {build(t, crafted{name: "f", mode: regular644, content: "abc", size: pointer(uint32(4))}), "two sizes"},
		"larger than it says":  {build(t, crafted{name: "f", mode: regular644, method: 8, content: "abc", size: pointer(uint32(2))}), "larger"},
		"smaller than it says": {build(t, crafted{name: "f", mode: regular644, method: 8, content: "abc", size: pointer(uint32(4))}), "does not match"},
		"checksum":             {build(t, crafted{name: "f", mode: regular644, method: 8, content: "abc", crc: pointer(uint32(1))}), "does not match"},
		"checksum of zero":     {build(t, crafted{name: "f", mode: regular644, content: "abc", crc: pointer(uint32(0))}), "does not match"},
		"no deflate":           {build(t, crafted{name: "f", mode: regular644, method: 8, content: "abc", packed: "\xff\xff\xff"}), "flate"},
		"deflate cut":          {build(t, crafted{name: "f", mode: regular644, method: 8, content: "abc", packed: deflate(t, "abc")[:2]}), "EOF"},
	}
}

// manyTargets are links, each twice as long to walk as the one before it.
func manyTargets(file func(string) crafted) []crafted {
	entries := []crafted{file("d/f"), {name: "l0", mode: symlink, content: "d"}}
	for i := range 30 {
		entries = append(entries, crafted{name: fmt.Sprintf("l%d", i+1), mode: symlink,
			content: fmt.Sprintf("l%d/../l%d", i, i)})
	}
	return entries
}

// chain is a link that follows one less than n others, and they.
func chain(n int) []crafted {
	var entries []crafted
	for i := range n {
		entries = append(entries, crafted{name: fmt.Sprintf("l%d", i), mode: symlink, content: fmt.Sprintf("l%d", i+1)})
	}
	return entries
}

// edit changes a byte, counted from the end if at is negative.
func edit(zip []byte, at int, to byte) []byte {
	if at < 0 {
		at += len(zip)
	}
	zip = append([]byte(nil), zip...)
	zip[at] = to
	return zip
}

func TestPutRefusesAndStoresNothing(t *testing.T) {
	for name, c := range refusals(t) {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			before := snapshot(t, h.dir)
			_, err := h.Put(t.Context(), c.zip)
			wantRefusal(t, err, invalidParameter, couldNotUnzip)
			if !containsAny(err.Error(), c.reason) {
				t.Errorf("the reason is %q, want it to say %q", err, c.reason)
			}
			if diff := cmp.Diff(before, snapshot(t, h.dir)); diff != "" {
				t.Errorf("a refused package left something (-before +after):\n%s", diff)
			}
		})
	}
}

// TestRootRefusesWhatIsInTheBlobs is for zip files that came into the blobs past Put.
func TestRootRefusesWhatIsInTheBlobs(t *testing.T) {
	for name, c := range refusals(t) {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			digest, _, err := h.blobs.Put(t.Context(), strings.NewReader(string(c.zip)))
			if err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, h.dir)
			_, err = h.Root(t.Context(), digest)
			wantRefusal(t, err, invalidParameter, couldNotUnzip)
			if diff := cmp.Diff(before, snapshot(t, h.dir)); diff != "" {
				t.Errorf("a refused package left something (-before +after):\n%s", diff)
			}
		})
	}
}

func TestPutRefusesByLambdasLimits(t *testing.T) {
	const unzipped = "Unzipped size must be smaller than 262144000 bytes"
	zeros := strings.Repeat("\x00", maxUnzipped/4)
	quarter := func(name string, n int) crafted {
		return crafted{name: name, mode: regular644, method: methodDeflated, content: zeros[:n]}
	}
	bomb := func(last int) []byte {
		return build(t, quarter("1", len(zeros)), quarter("2", len(zeros)), quarter("3", len(zeros)), quarter("4", last))
	}
	for _, c := range []struct {
		name, code, message string
		zip                 []byte
	}{
		{"no bytes", invalidParameter, "Uploaded file must be a non-empty zip", nil},
		{"no entries", invalidParameter, "Uploaded file must be a non-empty zip", build(t)},
		{"zip file", "RequestEntityTooLargeException", "Zipped size must be smaller than 52428800 bytes", make([]byte, 52428800)},
		{"unzipped", invalidParameter, unzipped, bomb(len(zeros))},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t)
			before := snapshot(t, h.dir)
			_, err := h.Put(t.Context(), c.zip)
			wantRefusal(t, err, c.code, c.message)
			if diff := cmp.Diff(before, snapshot(t, h.dir)); diff != "" {
				t.Errorf("a refused package left something (-before +after):\n%s", diff)
			}
		})
	}
	if _, err := check(t.Context(), bomb(len(zeros)-1)); err != nil {
		t.Errorf("one byte below the limit: %v", err)
	}
}

func TestReadRefusesByOwnBounds(t *testing.T) {
	t.Run("nodes", func(t *testing.T) {
		// 800 entries imply 127 directories each.
		var entries []crafted
		for i := range 800 {
			entries = append(entries, crafted{name: fmt.Sprintf("%d%s/f", i, strings.Repeat("/d", 126)), mode: regular644})
		}
		wantReason(t, build(t, entries...), "more than 100000 files")
	})
	t.Run("links", func(t *testing.T) {
		var entries []crafted
		for i := range maxLinks + 1 {
			entries = append(entries, crafted{name: fmt.Sprint(i), mode: symlink, content: "x"})
		}
		wantReason(t, build(t, entries...), "more than 10000 symbolic links")
	})
}

func wantReason(t *testing.T, zip []byte, reason string) {
	t.Helper()
	_, err := check(t.Context(), zip)
	wantRefusal(t, err, invalidParameter, couldNotUnzip)
	if !strings.Contains(err.Error(), reason) {
		t.Errorf("the reason is %q, want it to say %q", err, reason)
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := check(ctx, build(t, crafted{name: "f", mode: regular644})); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func wantRefusal(t *testing.T, err error, code, message string) {
	t.Helper()
	var refusal *Error
	if !errors.As(err, &refusal) {
		t.Fatalf("error %v, want %s", err, code)
	}
	if refusal.ErrorCode() != code || refusal.ErrorMessage() != message {
		t.Errorf("refused with %s: %s, want %s: %s", refusal.ErrorCode(), refusal.ErrorMessage(), code, message)
	}
}

func containsAny(s, alternatives string) bool {
	for alternative := range strings.SplitSeq(alternatives, "|") {
		if strings.Contains(s, alternative) {
			return true
		}
	}
	return false
}

// snapshot maps everything below a directory, itself included, to its mode and content.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	seen := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var content []byte
		switch {
		case info.Mode().IsRegular():
			content, err = os.ReadFile(path)
		case info.Mode()&fs.ModeSymlink != 0:
			var target string
			target, err = os.Readlink(path)
			content = []byte(target)
		}
		name, _ := filepath.Rel(dir, path)
		seen[name] = info.Mode().String() + " " + string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}
