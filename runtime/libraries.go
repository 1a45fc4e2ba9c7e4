package runtime

import (
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
)

// libraries are what interpreters, and most other programs, are linked with.
var libraries = []string{
	"libc.so.6", "libdl.so.2", "libexpat.so.1", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1", "libstdc++.so.6",
	"libutil.so.1", "libz.so.1",
}

// multiarch are the names that Debian gives to architectures, and to the directories of their libraries.
var multiarch = map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}

// languageLibraries are links for /var/lang/lib, which comes first in LD_LIBRARY_PATH, to those libraries that the host has
// where only the linker's own search ends. Without them it would look for each in every directory that Lambda has in that
// variable, and in some sixteen beneath each for processors' kinds: 300 system calls with every start of a program. As on
// Lambda, a function's own copy of such a library does not take the place of the system's.
func languageLibraries() []node {
	dir := "/usr/lib/" + multiarch[goruntime.GOARCH]
	if goruntime.GOOS != "linux" || multiarch[goruntime.GOARCH] == "" {
		return nil
	}
	var nodes []node
	for _, name := range libraries {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			nodes = append(nodes, node{path: filepath.Join("var/lang/lib", name), mode: fs.ModeSymlink, content: filepath.Join(dir, name)})
		}
	}
	return nodes
}
