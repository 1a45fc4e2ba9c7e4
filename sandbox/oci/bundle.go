//go:build linux && (amd64 || arm64)

package oci

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"hotaru/sandbox/namespace"
	"hotaru/sandbox/namespace/furnish"
)

// What of an OCI bundle's config.json is used:
// https://github.com/opencontainers/runtime-spec/blob/v1.0.2/config.md and config-linux.md.
type (
	bundle struct {
		Version  string  `json:"ociVersion"`
		Process  process `json:"process"`
		Root     root    `json:"root"`
		Hostname string  `json:"hostname"`
		Mounts   []mount `json:"mounts"`
		Linux    linux   `json:"linux"`
	}
	process struct {
		User            user                `json:"user"`
		Args            []string            `json:"args"`
		Env             []string            `json:"env"`
		Dir             string              `json:"cwd"`
		NoNewPrivileges bool                `json:"noNewPrivileges"`
		Capabilities    map[string][]string `json:"capabilities"`
	}
	user struct {
		UID int `json:"uid"`
		GID int `json:"gid"`
	}
	root struct {
		Path     string `json:"path"`
		ReadOnly bool   `json:"readonly"`
	}
	mount struct {
		Destination string   `json:"destination"`
		Type        string   `json:"type"`
		Source      string   `json:"source"`
		Options     []string `json:"options"`
	}
	linux struct {
		Namespaces    []kernelNamespace `json:"namespaces"`
		UIDMappings   []mapping         `json:"uidMappings"`
		GIDMappings   []mapping         `json:"gidMappings"`
		CgroupsPath   string            `json:"cgroupsPath"`
		MaskedPaths   []string          `json:"maskedPaths"`
		ReadOnlyPaths []string          `json:"readonlyPaths"`
	}
	kernelNamespace struct {
		Type string `json:"type"`
		Path string `json:"path,omitempty"`
	}
	mapping struct {
		ContainerID int `json:"containerID"`
		HostID      int `json:"hostID"`
		Size        int `json:"size"`
	}
)

// capabilities are stage-1's: it changes the user of what it starts and signals it. The thread that starts processes
// gives up all of them but the first two, and user code has none.
var capabilities = []string{"CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL"}

// describe makes the bundle of a container: what is mounted at the place is its root, network is its network namespace.
func describe(l *namespace.Lodging, at places, network string, gvisor bool) bundle {
	dev := []string{"nosuid", "noexec", "mode=755", "size=64k"}
	if !gvisor { // whose devices on a read-only mount cannot be written either
		dev = append(dev, "ro")
	}
	b := bundle{
		Version: "1.0.2", Hostname: l.Hostname, Root: root{Path: at.root, ReadOnly: true},
		Process: process{
			Args: []string{namespace.StageOne}, Env: []string{"GOMAXPROCS=1", "GOTRACEBACK=none"}, Dir: "/", NoNewPrivileges: true,
			Capabilities: map[string][]string{"bounding": capabilities, "permitted": capabilities, "effective": capabilities},
		},
		Mounts: []mount{
			// A process sees its own user's processes alone, so not stage-1.
			{"/proc", "proc", "proc", []string{"nosuid", "nodev", "noexec", "hidepid=2"}},
			{"/dev", "tmpfs", "tmpfs", dev},
			{namespace.StageOne, "bind", at.stage1, []string{"bind", "ro", "nosuid", "nodev"}},
			{"/tmp", "bind", filepath.Join(at.root, "tmp"), []string{"bind", "rw", "nosuid", "nodev"}},
		},
		Linux: linux{
			Namespaces: []kernelNamespace{
				{Type: "user"}, {Type: "pid"}, {Type: "ipc"}, {Type: "uts"}, {Type: "mount"}, {Type: "network", Path: network},
			},
			UIDMappings: []mapping{{0, l.InitID, 1}, {l.UID, l.UserID, 1}},
			GIDMappings: []mapping{{0, l.InitID, 1}, {l.GID, l.UserID, 1}},
			CgroupsPath: l.CgroupPath, MaskedPaths: inProc(furnish.ProcHidden[:]), ReadOnlyPaths: inProc(furnish.ProcReadOnly[:]),
		},
	}
	if gvisor {
		// runsc sets its own process up as the host's root, in a user namespace where that is all there is beside
		// the user: it has no privilege outside of it.
		b.Linux.UIDMappings[0].HostID, b.Linux.GIDMappings[0].HostID = 0, 0
		// It would mount the root read-only once more, and may not: all of it is mounted so already.
		b.Root.ReadOnly = false
	} else {
		b.Linux.Namespaces = append(b.Linux.Namespaces, kernelNamespace{Type: "cgroup"})
	}
	return b
}

// write writes the bundle's one file.
func (b bundle) write(dir string) error {
	content, err := json.Marshal(b)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("sandbox: bundle: %w", err)
	}
	return nil
}

func inProc(names []string) []string {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = "/proc/" + name
	}
	return paths
}
