package sdk_test

import (
	"archive/zip"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/runtime/sdk"
)

func TestNames(t *testing.T) {
	for _, tc := range []struct{ language, version, want string }{
		{sdk.Python, "3.11.7", "python3.11"}, {sdk.Python, "3.9", "python3.9"}, {sdk.NodeJS, "20.20.2", "nodejs20"}, {sdk.NodeJS, "24", "nodejs24"},
	} {
		if got := sdk.Name(tc.language, tc.version); got != tc.want {
			t.Errorf("%s %s: %s", tc.language, tc.version, got)
		}
	}
	for client, want := range map[string]string{
		"s3": "@aws-sdk/client-s3@3", "lib-dynamodb": "@aws-sdk/lib-dynamodb@3", "client-sts": "@aws-sdk/client-sts@3",
		"s3-request-presigner": "@aws-sdk/s3-request-presigner@3", "s3@3.500.0": "@aws-sdk/client-s3@3.500.0",
		"@aws-sdk/client-s3": "@aws-sdk/client-s3@3", "@aws-sdk/client-s3@^3.1.0": "@aws-sdk/client-s3@^3.1.0", "aws-sdk": "aws-sdk",
		"--global": "", "../up": "", "file:///etc": "", "https://x/y.tgz": "", "": "", "s3 sts": "", "@aws-sdk/../x": "", "s3==1": "", "s3@--x": "",
	} {
		got, err := sdk.NodePackage(client)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", client, got, err)
		}
	}
	for _, version := range []string{"16.20.0", "18.1.0", "20", "24.0.0"} {
		for _, client := range sdk.Clients(version) {
			name, err := sdk.NodePackage(client)
			if err != nil || strings.HasPrefix(name, "@aws-sdk/") == strings.HasPrefix(version, "16") {
				t.Errorf("%s: %s %v", version, name, err)
			}
		}
	}
	for name, good := range map[string]bool{
		"boto3": true, "boto3==1.2.3": true, "python-dateutil": true,
		"--index-url": false, "-r": false, "./here": false, "boto3@https": false, "git+https://x": false, "": false, "a b": false,
	} {
		if err := sdk.CheckPythonPackages([]string{name}); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// pip and npm note how they are called, and make what they are asked for.
const (
	pip = `#!/bin/sh
[ "$1" = -I ] && exec touch "$4/compiled"
echo "$@" > "$NOTES"
echo "$PATH $PWD" > "$NOTES.where"
[ "$FAIL" ] && { echo "no such package"; exit 3; }
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/bin" "$2/boto3-1.dist-info" "$2/boto3"
touch "$2/boto3-1.dist-info/METADATA"
`
	npm = `#!/bin/sh
echo "$@" > "$NOTES"
[ "$FAIL" ] && { echo "no such package"; exit 3; }
modules="$3/node_modules"
mkdir -p "$modules/.bin" "$modules/@aws-sdk/client-s3"
touch "$modules/.package-lock.json"
echo '{"name":"@aws-sdk/client-s3","version":"3.1"}' > "$modules/@aws-sdk/client-s3/package.json"
`
)

// TestFetch asks pip and npm, which tell what they were asked.
func TestFetch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"lang/python3.11*": pip, "lang/node*": "", "other/npm*": npm})
	notes := filepath.Join(dir, "notes")
	python := sdk.Fetcher{Program: filepath.Join(dir, "lang/python3.11"), Env: []string{"NOTES=" + notes, "PATH=/usr/bin:/bin"}}
	node := sdk.Fetcher{Program: filepath.Join(dir, "lang/node"), Path: []string{filepath.Join(dir, "none"), filepath.Join(dir, "other")}, Env: python.Env}
	for _, tc := range []struct {
		fetcher sdk.Fetcher
		fill    sdk.Fill
		asked   string
		has     []string
	}{
		{python, python.Python([]string{"boto3==1", "six"}), "--only-binary :all: --target DIR -- boto3==1 six\n",
			[]string{"boto3", "boto3-1.dist-info/METADATA", "compiled"}},
		{node, node.NodeJS([]string{"@aws-sdk/client-s3@3"}), "--prefix DIR --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error -- @aws-sdk/client-s3@3\n",
			[]string{"node_modules/@aws-sdk/client-s3/package.json"}},
	} {
		made := t.TempDir()
		if err := tc.fill(t.Context(), made); err != nil {
			t.Fatal(err)
		}
		asked, err := os.ReadFile(notes)
		if err != nil || !strings.HasSuffix(strings.ReplaceAll(string(asked), made, "DIR"), tc.asked) {
			t.Errorf("asked %q, %v", asked, err)
		}
		if diff := cmp.Diff(tc.has, leaves(t, made)); diff != "" {
			t.Error(diff)
		}
	}
	where, err := os.ReadFile(notes + ".where")
	if err != nil || !strings.HasPrefix(string(where), filepath.Join(dir, "lang")+":/usr/bin:/bin /") || !strings.Contains(string(where), "/hotaru-sdk-") {
		t.Errorf("run with %q, %v", where, err)
	}
}

func TestFetchFails(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"lang/python3.11*": pip, "lang/npm*": npm, "alone/node*": ""})
	env := []string{"NOTES=" + filepath.Join(dir, "notes"), "PATH=/usr/bin:/bin", "FAIL=1"}
	for name, fill := range map[string]sdk.Fill{
		"no such package": sdk.Fetcher{Program: filepath.Join(dir, "lang/python3.11"), Env: env}.Python([]string{"boto3"}),
		"exit status 3":   sdk.Fetcher{Program: filepath.Join(dir, "lang/node"), Env: env}.NodeJS([]string{"aws-sdk"}),
		"no npm here":     sdk.Fetcher{Program: filepath.Join(dir, "alone/node"), Env: env}.NodeJS([]string{"aws-sdk"}),
		"no such file":    sdk.Fetcher{Program: filepath.Join(dir, "none/python3.11"), Env: env}.Python([]string{"boto3"}),
	} {
		if err := fill(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// leaves are the files below a directory, and its empty directories.
func leaves(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := os.ReadDir(name)
		if entry.IsDir() && (err != nil || len(below) > 0) {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		found = append(found, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestFrom takes what somebody has prepared in every shape that it may have, as a directory and as a zip file.
func TestFrom(t *testing.T) {
	python := map[string]string{"boto3/__init__.py": "", "six.py": "", "boto3/__pycache__/x.pyc": "old", "bin/jp.py": ""}
	node := map[string]string{"@aws-sdk/client-s3/package.json": "{}", "tslib/index.js": "", ".bin/uuid": ""}
	for _, tc := range []struct {
		language, below string
		files           map[string]string
		want            []string
	}{
		{sdk.Python, "", python, []string{"boto3/__init__.py", "compiled", "six.py"}},
		{sdk.Python, "python/", python, []string{"boto3/__init__.py", "compiled", "six.py"}},
		{sdk.NodeJS, "", node, []string{"node_modules/@aws-sdk/client-s3/package.json", "node_modules/tslib/index.js"}},
		{sdk.NodeJS, "node_modules/", node, []string{"node_modules/@aws-sdk/client-s3/package.json", "node_modules/tslib/index.js"}},
		{sdk.NodeJS, "nodejs/node_modules/", node, []string{"node_modules/@aws-sdk/client-s3/package.json", "node_modules/tslib/index.js"}},
		{sdk.NodeJS, "elsewhere/", node, nil},
		{sdk.NodeJS, "", python, nil},
		{sdk.Python, "", node, nil},
	} {
		dir := t.TempDir()
		files := map[string]string{}
		for name, text := range tc.files {
			files[tc.below+name] = text
		}
		write(t, dir, map[string]string{"lang/python3.11*": pip})
		write(t, filepath.Join(dir, "files"), files)
		archive := filepath.Join(dir, "files.zip")
		pack(t, archive, filepath.Join(dir, "files"))
		fetcher := sdk.Fetcher{Program: filepath.Join(dir, "lang/python3.11"), Env: []string{"PATH=/usr/bin:/bin"}}
		for _, from := range []string{filepath.Join(dir, "files"), archive} {
			made := t.TempDir()
			err := fetcher.From(tc.language, from)(t.Context(), made)
			if tc.want == nil {
				if err == nil || !strings.Contains(err.Error(), "no SDK in it") {
					t.Errorf("%s of %q: %v", from, tc.below, err)
				}
				continue
			}
			if diff := cmp.Diff(tc.want, leaves(t, made)); diff != "" || err != nil {
				t.Errorf("%s of %q: %v %s", from, tc.below, err, diff)
			}
		}
	}
	text := filepath.Join(t.TempDir(), "text")
	write(t, filepath.Dir(text), map[string]string{"text": "no archive"})
	for _, from := range []string{text, text + "-that-is-not-there"} {
		if err := (sdk.Fetcher{}).From(sdk.Python, from)(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), from) {
			t.Errorf("%s: %v", from, err)
		}
	}
}

func pack(t *testing.T, archive, dir string) {
	t.Helper()
	out, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := zip.NewWriter(out)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
