package runtime

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hotaru/sandbox"
)

// node is one entry of a root's skeleton.
type node struct {
	path    string // without the leading slash
	mode    fs.FileMode
	content string // of a file, or where a link leads
}

// services are the names of ports that programs ask for.
const services = "ftp\t21/tcp\nssh\t22/tcp\nsmtp\t25/tcp\tmail\ndomain\t53/tcp\ndomain\t53/udp\nhttp\t80/tcp\twww\nntp\t123/udp\n" +
	"ldap\t389/tcp\nhttps\t443/tcp\nhttps\t443/udp\nsyslog\t514/udp\nsubmission\t587/tcp\nldaps\t636/tcp\nmysql\t3306/tcp\n" +
	"postgresql\t5432/tcp\namqp\t5672/tcp\nredis\t6379/tcp\n"

// What a root of any kind says: the user inside is who it is on Lambda, and names are ours to resolve.
const (
	passwdUser = "sbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n"
	groupUser  = "sbx_user1051:x:990:\n"
	hosts      = "127.0.0.1\tlocalhost\n::1\tlocalhost\n"
	resolvConf = "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n"
)

const openssl = "[req]\ndistinguished_name = subject\n[subject]\n"

// caBundles are where systems keep all certificate authorities in one file.
var caBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
}

// Where certificate authorities are in a root.
const (
	// bundle has the host's authorities and Catalog.CA.
	bundle = "etc/ssl/certs/ca-certificates.crt"
	// anchor has Catalog.CA alone, for the bootstraps of languages that bring their own authorities.
	anchor = "etc/pki/ca-trust/source/anchors/hotaru.pem"
)

// bundleLinks are where else programs look for the bundle, Lambda's own place (Amazon Linux's) among them.
var bundleLinks = []string{
	"etc/ssl/cert.pem", "etc/ssl/ca-bundle.pem", "etc/pki/tls/cert.pem", "etc/pki/tls/certs/ca-bundle.crt",
	"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
}

// layout is what every root is made of: our own /etc, the mount points, and the links and directories that
// the host has beside /usr. It holds nothing of the host's but the shape of its /usr and whom it trusts.
func (c *Catalog) layout() []node {
	nodes := []node{}
	for _, dir := range []string{
		"dev", "etc", "etc/alternatives", "etc/ld.so.conf.d", "etc/pki", "etc/pki/tls", "etc/pki/tls/certs",
		"etc/pki/ca-trust", "etc/pki/ca-trust/extracted", "etc/pki/ca-trust/extracted/pem", "etc/pki/ca-trust/source",
		"etc/pki/ca-trust/source/anchors", "etc/ssl", "etc/ssl/certs",
		"home", "mnt", "opt", "proc", "root", "run", "sys", "usr", "var", "var/lang", "var/lang/lib", "var/lib", "var/runtime", "var/task",
		// The dynamic linker never looks again for a directory that was missing when a process started, as a function's
		// code and layers are for a zygote.
		"opt/lib", "var/task/lib",
	} {
		nodes = append(nodes, node{path: dir, mode: fs.ModeDir | 0o755})
	}
	for _, dir := range []string{"tmp", "var/tmp"} {
		nodes = append(nodes, node{path: dir, mode: fs.ModeDir | fs.ModeSticky | 0o777})
	}
	for path, content := range map[string]string{
		"etc/passwd":        "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n" + passwdUser,
		"etc/group":         "root:x:0:\nnobody:x:65534:\n" + groupUser,
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\nnetworks: files\n",
		"etc/hosts":         hosts,
		"etc/resolv.conf":   resolvConf,
		bundle:              hostBundle() + string(c.CA),
		"etc/ld.so.conf":    "/usr/local/lib\n",
		"etc/timezone":      "UTC\n",
		"etc/services":      services,
		"etc/protocols":     "ip\t0\tIP\nicmp\t1\tICMP\ntcp\t6\tTCP\nudp\t17\tUDP\nipv6\t41\tIPv6\nipv6-icmp\t58\tIPv6-ICMP\n",
		// Where Debian's and Amazon Linux's OpenSSL look: enough for requests of certificates, whose subject is given.
		"etc/ssl/openssl.cnf":     openssl,
		"etc/pki/tls/openssl.cnf": openssl,
	} {
		nodes = append(nodes, node{path: path, mode: 0o644, content: content})
	}
	for _, path := range bundleLinks {
		nodes = append(nodes, node{path: path, mode: fs.ModeSymlink, content: "/" + bundle})
	}
	if len(c.CA) > 0 {
		nodes = append(nodes, node{path: anchor, mode: 0o644, content: string(c.CA)})
	}
	nodes = append(nodes,
		node{path: "etc/localtime", mode: fs.ModeSymlink, content: "../usr/share/zoneinfo/UTC"},
		node{path: "etc/os-release", mode: fs.ModeSymlink, content: "../usr/lib/os-release"},
		node{path: "etc/mtab", mode: fs.ModeSymlink, content: "/proc/self/mounts"},
		node{path: "var/run", mode: fs.ModeSymlink, content: "../run"},
		// Node.js's ES modules know nothing of NODE_PATH, which on Lambda they do: they look for packages in directories
		// above, and find first what layers have and then the SDK. What is not an ES module passes these over (loader.js).
		node{path: "var/node_modules", mode: fs.ModeSymlink, content: LayerRoot + "/nodejs/node_modules"},
		node{path: "node_modules", mode: fs.ModeSymlink, content: runtimeDir + "/node_modules"},
	)
	for _, name := range besideUsr {
		info, err := os.Lstat("/" + name)
		switch {
		case err != nil:
		case info.IsDir():
			nodes = append(nodes, node{path: name, mode: fs.ModeDir | 0o755})
		default:
			nodes = append(nodes, node{path: name, mode: fs.ModeSymlink, content: "usr/" + name})
		}
	}
	nodes = append(nodes, alternatives()...)
	nodes = append(nodes, languageLibraries()...)
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.path, b.path) })
	return nodes
}

// hostBundle is the host's authorities as PEM, ending with a newline; empty if it has none.
func hostBundle() string {
	for _, path := range caBundles {
		text, err := os.ReadFile(path)
		if err == nil && len(text) > 0 {
			return strings.TrimRight(string(text), "\n") + "\n"
		}
	}
	return ""
}

// besideUsr are the directories that are links into /usr on most systems, and directories on the others.
var besideUsr = []string{"bin", "lib", "lib32", "lib64", "libx32", "sbin"}

// alternatives makes anew the links through /etc with which Debian names programs of /usr, awk among them.
func alternatives() []node {
	var nodes []node
	entries, _ := os.ReadDir("/etc/alternatives") // there are none where it is missing
	for _, entry := range entries {
		target, err := os.Readlink("/etc/alternatives/" + entry.Name())
		if err == nil && strings.HasPrefix(filepath.Clean(target), "/usr/") {
			nodes = append(nodes, node{path: "etc/alternatives/" + entry.Name(), mode: fs.ModeSymlink, content: target})
		}
	}
	return nodes
}

// skeleton returns the directory of the layout, which is made once and named for what is in it.
func (c *Catalog) skeleton() (string, error) {
	if !filepath.IsAbs(c.StateDir) {
		return "", fmt.Errorf("runtime: StateDir %q is not absolute", c.StateDir)
	}
	nodes := c.layout()
	sum := sha256.New()
	for _, n := range nodes {
		fmt.Fprintf(sum, "%q %o %q\n", n.path, n.mode, n.content)
	}
	name := hex.EncodeToString(sum.Sum(nil))[:16]
	return buildOnce(filepath.Join(c.StateDir, "roots"), name, func(tmp string) error {
		for _, n := range nodes {
			if err := n.make(tmp); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n node) make(root string) error {
	path := filepath.Join(root, n.path)
	switch n.mode.Type() {
	case fs.ModeDir:
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		return os.Chmod(path, n.mode) // whatever the umask
	case fs.ModeSymlink:
		return os.Symlink(n.content, path)
	default:
		return writeFile(path, []byte(n.content), n.mode)
	}
}

// root is the root file system that the runtime's program needs.
func (r *Runtime) root() sandbox.Root {
	if r.base != nil {
		root := r.base.Root
		if r.Interpreter != nil {
			root.Binds = append(slices.Clone(root.Binds), sandbox.Bind{Source: r.bootstrap, Target: baseBootstrap})
		}
		return root
	}
	root := sandbox.Root{Dir: r.skeleton, Binds: []sandbox.Bind{{Source: "/usr", Target: "/usr"}}}
	bind := func(source, target string) {
		root.Binds = append(root.Binds, sandbox.Bind{Source: source, Target: target})
	}
	for _, name := range besideUsr {
		if info, err := os.Lstat("/" + name); err == nil && info.IsDir() {
			bind("/"+name, "/"+name)
		}
	}
	// Where the host has its authorities by the hashes of their names too, programs may look there; our bundle
	// covers the host's.
	if info, err := os.Lstat("/" + bundle); err == nil && info.Mode().IsRegular() {
		if dir, err := filepath.EvalSymlinks("/etc/ssl/certs"); err == nil {
			bind(dir, "/etc/ssl/certs")
			bind(filepath.Join(r.skeleton, bundle), "/"+bundle)
		}
	}
	if r.Interpreter != nil {
		bind(r.bootstrap, runtimeDir)
		if !r.Interpreter.inUsr() {
			bind(r.Interpreter.Prefix, langDir)
		}
	}
	return root
}

// fallback is the locale with the same characters as Lambda's that every C library has.
const fallback = "C.UTF-8"

// locale is the host's, unless there is a base image: what locales that has it says itself.
func (r *Runtime) locale() string {
	if r.base != nil {
		return fallback
	}
	return r.catalog.locale()
}

// locale is Lambda's locale where the host has it, else the fallback: a locale that is missing makes programs fall back
// to ASCII.
func (c *Catalog) locale() string {
	c.localeOnce.Do(func() {
		c.localeName = fallback
		archive, _ := os.ReadFile("/usr/lib/locale/locale-archive") // often there is none
		if isDirectory("/usr/lib/locale/en_US.utf8") || bytes.Contains(archive, []byte("en_US.utf8\x00")) {
			c.localeName = "en_US.UTF-8"
		}
	})
	return c.localeName
}
