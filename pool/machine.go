package pool

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Machine is where the kernel tells of memory. The zero Machine is the one that this process runs on.
type Machine struct {
	// Root is "/", but for tests.
	Root string
}

// Available is how many bytes can be used without swapping, by the machine's count or the tightest of the control groups
// that this process is in (https://docs.kernel.org/filesystems/proc.html#meminfo,
// https://docs.kernel.org/admin-guide/cgroup-v2.html#memory). ok is false where nobody tells.
func (m Machine) Available() (bytes int64, ok bool) {
	for line := range strings.Lines(m.read("proc/meminfo")) {
		if value, found := strings.CutPrefix(line, "MemAvailable:"); found {
			kB, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			bytes, ok = kB<<10, err == nil
		}
	}
	for line := range strings.Lines(m.read("proc/self/cgroup")) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		hierarchy, limit, usage, cache := "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
		switch {
		case fields[1] == "memory":
			hierarchy, limit, usage, cache = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
		case fields[1] != "":
			continue
		}
		for dir := filepath.Clean("/" + fields[2]); ; dir = filepath.Dir(dir) {
			if left, bounded := m.leftOf(filepath.Join(hierarchy, dir), limit, usage, cache); bounded {
				bytes = min(bytes, left)
			}
			if dir == "/" {
				break
			}
		}
	}
	return bytes, ok
}

// leftOf is what a control group may still use; bounded says that it has a limit. What it has cached of files can go.
func (m Machine) leftOf(dir, limit, usage, cache string) (left int64, bounded bool) {
	most, err := strconv.ParseInt(strings.TrimSpace(m.read(filepath.Join(dir, limit))), 10, 64)
	if err != nil {
		return 0, false // "max", or no such group to be seen
	}
	used, err := strconv.ParseInt(strings.TrimSpace(m.read(filepath.Join(dir, usage))), 10, 64)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(m.read(filepath.Join(dir, "memory.stat"))) {
		if value, found := strings.CutPrefix(line, cache+" "); found {
			if cached, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil {
				used -= min(cached, used)
			}
		}
	}
	return max(most-used, 0), true
}

// read is a file's content, empty where there is none.
func (m Machine) read(path string) string {
	content, err := os.ReadFile(filepath.Join("/", m.Root, path))
	if err != nil {
		return ""
	}
	return string(content)
}
