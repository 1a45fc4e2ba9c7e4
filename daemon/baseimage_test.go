package daemon

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"hotaru/runtime"
)

// layer is a layer of an image under way.
type layer struct {
	t     *testing.T
	tar   *tar.Writer
	bytes bytes.Buffer
	added map[string]bool
}

func newLayer(t *testing.T) *layer {
	l := &layer{t: t, added: map[string]bool{}}
	l.tar = tar.NewWriter(&l.bytes)
	return l
}

func (l *layer) text(name, content string) {
	l.t.Helper()
	l.header(tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))})
	if _, err := io.WriteString(l.tar, content); err != nil {
		l.t.Fatal(err)
	}
}

func (l *layer) link(name, target string) {
	l.t.Helper()
	l.header(tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target})
}

func (l *layer) header(header tar.Header) {
	l.t.Helper()
	if err := l.tar.WriteHeader(&header); err != nil {
		l.t.Fatal(err)
	}
}

// copyFile adds a file of the host's under a name, and the libraries that it needs where the host has them.
func (l *layer) copyFile(name, from string) {
	l.t.Helper()
	if l.added[name] {
		return
	}
	l.added[name] = true
	content, err := os.ReadFile(from)
	if err != nil {
		l.t.Fatal(err)
	}
	info, err := os.Stat(from)
	if err != nil {
		l.t.Fatal(err)
	}
	// What Python has compiled is good for a source of the same time.
	l.header(tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content)), ModTime: info.ModTime()})
	if _, err := l.tar.Write(content); err != nil {
		l.t.Fatal(err)
	}
	if !bytes.HasPrefix(content, []byte("\x7fELF")) {
		return
	}
	out, _ := exec.Command("ldd", from).Output() // what is linked statically fails
	for _, found := range libraries.FindAllStringSubmatch(string(out), -1) {
		if path := found[1]; !strings.Contains(path, "libpython") {
			l.copyFile(path, path)
		}
	}
}

var libraries = regexp.MustCompile(`(?m)(/\S+) \(0x`)

// copyPython adds an interpreter at /var/lang, as Lambda's images have it.
func (l *layer) copyPython(in *runtime.Interpreter) {
	l.t.Helper()
	name := "python" + strings.Join(strings.Split(in.Version, ".")[:2], ".")
	l.copyFile("var/lang/bin/"+name, in.Path)
	shared, err := filepath.Glob(filepath.Join(in.Prefix, "lib", "lib"+name+".so*"))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, file := range shared {
		l.copyFile("var/lang/lib/"+filepath.Base(file), file)
	}
	library := filepath.Join(in.Prefix, "lib", name)
	err = filepath.WalkDir(library, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		skip := []string{"test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "site-packages", "dist-packages", "pydoc_data"}
		if entry.IsDir() && (slices.Contains(skip, entry.Name()) || strings.HasPrefix(entry.Name(), "config-")) {
			return fs.SkipDir
		}
		if entry.Type().IsRegular() && !strings.HasPrefix(entry.Name(), "_test") {
			relative, err := filepath.Rel(library, path)
			if err != nil {
				return err
			}
			l.copyFile("var/lang/lib/"+name+"/"+relative, path)
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.text("var/lang/lib/"+name+"/site-packages/sdk_of_image.py", "WHERE = __file__\n")
}

// image writes an image of layers as an OCI layout.
func writeImage(t *testing.T, env []string, layers ...*layer) string {
	t.Helper()
	img := empty.Image
	for _, l := range layers {
		if err := l.tar.Close(); err != nil {
			t.Fatal(err)
		}
		content := l.bytes.Bytes()
		made, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
			tarball.WithCompressionLevel(0))
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, made); err != nil {
			t.Fatal(err)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Env = "linux", goruntime.GOARCH, env
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	path, err := layout.Write(filepath.Join(t.TempDir(), "image"), empty.Index)
	if err == nil {
		err = path.AppendImage(img)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(path)
}

// userlandLayer is the least that a base image has: a shell and what it needs.
func userlandLayer(t *testing.T) *layer {
	t.Helper()
	l := newLayer(t)
	for _, name := range []string{"bin", "lib", "lib64"} {
		if target, err := os.Readlink("/" + name); err == nil {
			l.link(name, target)
		}
	}
	l.copyFile("bin/sh", "/bin/sh")
	l.text("etc/base-image", "here")
	l.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/app:/bin/sh")
	l.text("etc/pki/tls/certs/ca-bundle.crt", "# the image's own\n")
	l.text("etc/hosts", "6.6.6.6\tlocalhost\n")
	return l
}

// TestBaseImageRefusals: no Hotaru starts without an image that it was told to use.
func TestBaseImageRefusals(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	nothing := newLayer(t)
	nothing.text("etc/x", "")
	empty := writeImage(t, nil, nothing)
	missing := filepath.Join(t.TempDir(), "no-image")
	for name, test := range map[string]struct {
		images  []string
		sandbox string
		want    string
	}{
		"missing":             {[]string{missing}, "", "--base-image=" + missing + ": image: " + missing + ": stat"},
		"no reference":        {[]string{"Bad Name"}, "", "--base-image=Bad Name: image: "},
		"no runtime":          {[]string{"python9.9=" + missing}, "", "no runtime of Lambda's"},
		"without a shell":     {[]string{"python3.11=" + empty}, "", "base image " + empty + ": sandbox: no such program"},
		"twice":               {[]string{"python3.11=" + empty, "python3.11=" + empty}, "", "one for the same runtimes already"},
		"nothing is isolated": {[]string{empty}, "process", "--sandbox=process does not"},
	} {
		d, err := Start(t.Context(), Config{DataDir: t.TempDir(), Listen: "localhost:0", BaseImages: test.images, Sandbox: test.sandbox})
		if err == nil {
			t.Errorf("%s: it starts", name)
			err = d.Close(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// TestBaseImage runs functions on an image's files: its interpreter, SDKs and authorities, and nothing of the host's.
func TestBaseImage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	id, in := pythonHere(t)
	lang := newLayer(t)
	lang.copyPython(in)
	lang.text("var/runtime/older_sdk.py", "")
	base := writeImage(t, []string{"LANG=POSIX.UTF-8", "OF_IMAGE=1", "PATH=/nowhere"}, userlandLayer(t), lang)
	data := t.TempDir()
	onBase := func(c *Config) { c.BaseImages, c.DataDir = []string{id + "=" + base}, data }

	h := start(t, onBase)
	files := map[string]string{"handler.py": lookAtBase}
	h.create("zygote", id, "handler.handler", files)
	h.create("cold", id, "handler.handler", files, atStart)
	h.create("host", "provided.al2023", "any", map[string]string{"bootstrap": userland(t, "bootstrap")})
	for _, name := range []string{"zygote", "cold"} {
		want := map[string]any{
			"prefix": "/var/lang", "sdk": "/var/lang/lib/python" + strings.TrimPrefix(id, "python") + "/site-packages/sdk_of_image.py",
			"marker": "here", "host": []any{}, "hosts": "127.0.0.1\tlocalhost", "users": []any{"app", "root", "sbx_user1051"},
			"image": "1", "lang": "POSIX.UTF-8", "path": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
			"bundle": true, "https": true, "read-only": true,
		}
		if diff := cmp.Diff(want, h.saidBy(name, "{}", name == "zygote")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	var host map[string]any
	if err := json.Unmarshal([]byte(h.ok("host", "{}")), &host); err != nil || host["perl"] != "silent" {
		t.Errorf("a runtime without a base image has not the host's files: %v, %v", host, err)
	}
	before := roots(t, data)

	// A later start has nothing to make.
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	start(t, onBase)
	if diff := cmp.Diff(before, roots(t, data)); diff != "" {
		t.Errorf("the root was made again: %s", diff)
	}
}

// pythonHere is a Python of this machine's, and its runtime.
func pythonHere(t *testing.T) (string, *runtime.Interpreter) {
	t.Helper()
	c := &runtime.Catalog{
		StateDir: t.TempDir(), Search: runtime.Search{Path: filepath.SplitList(os.Getenv("PATH")), Homes: []string{os.Getenv("HOME")}},
	}
	for _, id := range []string{"python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "python3.8"} {
		if r, err := c.Resolve(t.Context(), id); err == nil {
			return id, r.Interpreter
		}
	}
	t.Skip("no Python that Lambda knows is installed")
	return "", nil
}

// roots are the image roots of a data directory, with their times.
func roots(t *testing.T, data string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(data, "images", "roots"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	info, err := entries[0].Info()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{entries[0].Name(): info.ModTime().String()}
}

const lookAtBase = `
import os, pwd, ssl, sys, urllib.request
import older_sdk, sdk_of_image

def exists(*paths):
    return [p for p in paths if os.path.exists(p)]

def tried():
    try:
        open("/etc/x", "w")
    except OSError as e:
        return e.errno == 30

def https():
    with urllib.request.urlopen("https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions") as answer:
        return answer.status

def trusted():
    try:
        https()
    except urllib.error.HTTPError as e:
        return e.code == 403

def handler(event, context):
    with open("/etc/ssl/certs/ca-certificates.crt") as bundle, open("/etc/pki/tls/certs/ca-bundle.crt") as own:
        texts = [bundle.read(), own.read()]
    return {
        "prefix": sys.prefix, "sdk": sdk_of_image.WHERE, "marker": open("/etc/base-image").read(),
        "host": exists("/usr/bin/perl", "/usr/bin/env", "/usr/share", "/etc/alternatives"),
        "hosts": open("/etc/hosts").readline().strip(), "users": sorted(u.pw_name for u in pwd.getpwall()),
        "image": os.environ.get("OF_IMAGE"), "lang": os.environ["LANG"], "path": os.environ["PATH"],
        "bundle": all(t.startswith("# the image's own\n") and t.count("BEGIN CERTIFICATE") == 1 for t in texts),
        "https": trusted(), "read-only": tried(), "zygote": "LC_ALL" not in os.environ,
    }
`
