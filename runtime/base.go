package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"hotaru/sandbox"
)

// Base is a base image's root, which runtimes use instead of one that is assembled from the host.
type Base struct {
	// Name is what to call the image when something is wrong with it.
	Name string
	// Key changes with the image.
	Key string
	// Root has the image with Entries.
	Root sandbox.Root
	// Env is what the image sets, NAME=value.
	Env []string
}

// Entry is what a base image's root must have of ours: a directory or a file.
type Entry struct {
	// Path is absolute. Links of the image's on the way to it are followed.
	Path string
	// Dir is the mode of a directory that is made if there is none; nothing else counts then.
	Dir fs.FileMode
	// After is where to look, in this order, for a file of the image whose content comes first.
	After []string
	// Content comes after that; without it, it takes the place of what the image has.
	Content []byte
	// Present leaves the entry out if the image has no file there.
	Present bool
}

// baseBootstrap is where a base image's root has our bootstrap: /var/runtime is the image's own, which may have SDKs.
const baseBootstrap = "/var/hotaru"

// BaseEntries are what every base image's root must have of ours.
func (c *Catalog) BaseEntries() []Entry {
	var entries []Entry
	for _, dir := range []string{"/dev", "/proc", "/sys", "/opt", TaskRoot, runtimeDir, baseBootstrap} {
		entries = append(entries, Entry{Path: dir, Dir: 0o755})
	}
	for _, dir := range []string{"/tmp", "/var/tmp"} {
		entries = append(entries, Entry{Path: dir, Dir: fs.ModeSticky | 0o777})
	}
	entries = append(entries,
		Entry{Path: "/etc/resolv.conf", Content: []byte(resolvConf)},
		Entry{Path: "/etc/hosts", Content: []byte(hosts)},
		Entry{Path: "/etc/passwd", After: []string{"/etc/passwd"}, Content: []byte(passwdUser)},
		Entry{Path: "/etc/group", After: []string{"/etc/group"}, Content: []byte(groupUser)},
		Entry{Path: "/" + bundle, After: caBundles, Content: c.CA},
	)
	if len(c.CA) == 0 {
		return entries
	}
	for _, path := range caBundles {
		if path != "/"+bundle {
			entries = append(entries, Entry{Path: path, After: []string{path}, Content: c.CA, Present: true})
		}
	}
	return append(entries, Entry{Path: "/" + anchor, Content: c.CA})
}

// base is the base image of a runtime; nil means a root from the host.
func (c *Catalog) base(id string) *Base {
	if base, ok := c.Bases[id]; ok {
		return base
	}
	return c.Bases[""]
}

// insideDirs are where an image may have an interpreter: Lambda's own place first, then those of Docker's official images
// and of distributions.
var insideDirs = []string{langDir + "/bin", "/usr/local/bin", "/usr/bin"}

// inBase looks for a runtime's interpreter in a base image.
func (c *Catalog) inBase(ctx context.Context, base *Base, info Info) (*Interpreter, error) {
	var newest *Interpreter
	seen := map[string]bool{}
	for _, name := range programs(info.Language, info.Version) {
		for _, dir := range insideDirs {
			out, err := c.inside(ctx, base, path.Join(dir, name), probeArgs(info.Language), "")
			if failed := (*programError)(nil); errors.Is(err, sandbox.ErrNotFound) || errors.As(err, &failed) {
				continue // no interpreter
			}
			if err != nil {
				return nil, err
			}
			in := parseProbe(info.Language, out)
			if in == nil || seen[in.Path] {
				continue
			}
			seen[in.Path] = true
			if serves(in.Version, info.Version) {
				return in, nil
			}
			if hasBootstrap(Info{Language: in.Language, Version: in.Version}) &&
				(newest == nil || compareVersions(in.Version, newest.Version) > 0) {
				newest = in
			}
		}
	}
	if c.Nearest {
		return newest, nil
	}
	return nil, nil
}

// imageEnv is what an image sets and Lambda does not: of what both set, the language's locale is the image's, which has
// it; everything else is Lambda's.
func (b *Base) imageEnv(env []string) []string {
	set := map[string]int{}
	for i, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		set[name] = i
	}
	for _, entry := range b.Env {
		name, value, ok := strings.Cut(entry, "=")
		i, ours := set[name]
		switch {
		case !ok || name == "" || strings.ContainsRune(value, 0):
		case !ours:
			env = append(env, entry)
		case name == "LANG":
			env[i] = entry
		}
	}
	return env
}

// Inspect checks that the base images can be started: each has what starts a program.
func (c *Catalog) Inspect(ctx context.Context) error {
	for _, base := range c.Bases {
		out, err := c.inside(ctx, base, "/bin/sh", []string{"-c", "echo started"}, "")
		if err == nil && !bytes.Equal(out, []byte("started\n")) {
			err = fmt.Errorf("/bin/sh says %.100q", out)
		}
		if err != nil {
			return fmt.Errorf("runtime: base image %s: %w", base.Name, err)
		}
	}
	return nil
}
