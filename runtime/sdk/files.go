package sdk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Everybody may read what is here, and nobody writes it.
const (
	fileMode    = 0o644
	programMode = 0o755
	dirMode     = 0o755
)

// digestLength is that of a digest, in hexadecimal digits.
const digestLength = 16

func isDigest(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == digestLength/2
}

// compiled says whether Python made a file, which is different every time.
func compiled(name string) bool { return strings.HasSuffix(name, ".pyc") }

// settle gives everything in a directory its mode, and says what is in it.
func settle(dir string) (*Installed, error) {
	in := &Installed{}
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if found := packageOf(filepath.ToSlash(below), name); found != "" {
			in.Packages = append(in.Packages, found)
		}
		return settleOne(sum, name, filepath.ToSlash(below), entry)
	})
	if err != nil {
		return nil, err
	}
	if len(in.Packages) == 0 {
		return nil, errors.New("there is no package in it")
	}
	slices.Sort(in.Packages)
	in.Digest = hex.EncodeToString(sum.Sum(nil))[:digestLength]
	return in, nil
}

func settleOne(sum hash.Hash, name, below string, entry fs.DirEntry) error {
	switch entry.Type() {
	case fs.ModeDir:
		fmt.Fprintf(sum, "%q\n", below)
		return os.Chmod(name, dirMode)
	case fs.ModeSymlink:
		target, err := os.Readlink(name)
		if err != nil {
			return err
		}
		if filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(filepath.FromSlash(below)), target)) {
			return fmt.Errorf("%s leads out of it, to %s", below, target)
		}
		fmt.Fprintf(sum, "%q -> %q\n", below, target)
		return nil
	case 0:
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := fs.FileMode(fileMode)
		if info.Mode()&0o111 != 0 {
			mode = programMode
		}
		if !compiled(below) {
			content, err := os.Open(name)
			if err != nil {
				return err
			}
			defer content.Close()
			fmt.Fprintf(sum, "%q %o %d\n", below, mode, info.Size())
			if _, err := io.Copy(sum, content); err != nil {
				return err
			}
		}
		return os.Chmod(name, mode)
	default:
		return fmt.Errorf("%s is no file", below)
	}
}

// packageOf is the package that a file of an SDK tells of, "boto3 1.44.5"; empty if it tells of none. Of Node.js's it is
// those that a function names, not what they need in turn.
func packageOf(below, name string) string {
	if info, ok := strings.CutSuffix(below, ".dist-info/METADATA"); ok && !strings.Contains(info, "/") {
		what, version, _ := strings.Cut(info, "-")
		return what + " " + version
	}
	for _, pattern := range []string{"node_modules/aws-sdk/package.json", "node_modules/@aws-sdk/client-*/package.json",
		"node_modules/@aws-sdk/lib-*/package.json"} {
		if found, _ := path.Match(pattern, below); found { // fails only on a bad pattern
			var about struct{ Name, Version string }
			if text, err := os.ReadFile(name); err == nil && json.Unmarshal(text, &about) == nil && about.Name != "" {
				return about.Name + " " + about.Version
			}
		}
	}
	return ""
}

// Summary says in a few words what it is: "boto3 1.44.5".
func (in *Installed) Summary() string {
	clients, first := 0, ""
	for _, text := range in.Packages {
		what, version, _ := strings.Cut(text, " ")
		switch {
		case what == "boto3", what == "aws-sdk":
			return text
		case strings.HasPrefix(what, "@aws-sdk/client-"):
			if clients++; first == "" {
				first = version
			}
		}
	}
	if clients > 0 {
		return fmt.Sprintf("@aws-sdk %s, clients: %d", first, clients)
	}
	return strings.Join(in.Packages, ", ")
}

// ShowIn makes all that the SDK is made of appear in a directory, beside what is there already; a file that both have is an
// error. The files are the store's own where the file system lets two names be one file, else copies.
func (in *Installed) ShowIn(dir string) error {
	return filepath.WalkDir(in.Dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(in.Dir, name)
		if err != nil || below == "." {
			return err
		}
		target := filepath.Join(dir, below)
		switch entry.Type() {
		case fs.ModeDir:
			if err := os.Mkdir(target, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			return os.Chmod(target, dirMode) // whatever the umask
		case fs.ModeSymlink:
			link, err := os.Readlink(name)
			if err != nil {
				return err
			}
			return os.Symlink(link, target) //nolint:gosec // both directories are the store's and the runtime's own
		default:
			return linkOrCopy(name, target)
		}
	})
}

// linkOrCopy copies where the file system or its owner does not let one file have two names.
func linkOrCopy(name, target string) error {
	err := os.Link(name, target)
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EMLINK) || errors.Is(err, unix.ENOTSUP) {
		return copyFile(os.DirFS(filepath.Dir(name)), filepath.Base(name), target)
	}
	return err
}

// copyFile copies a file that is not there yet; whoever may run it there may run it here.
func copyFile(from fs.FS, name, target string) error {
	source, err := from.Open(name)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	mode := fs.FileMode(fileMode)
	if info.Mode()&0o111 != 0 {
		mode = programMode
	}
	out, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, source)
	return errors.Join(err, out.Chmod(mode), out.Close())
}
