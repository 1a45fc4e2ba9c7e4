//go:build linux && (amd64 || arm64)

package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ociRuntime is an OCI runtime's command.
type ociRuntime struct {
	path string
	// gvisor says that it is runsc: another kernel, other flags.
	gvisor bool
}

// probeTimeout bounds how long a command may take to say its version.
const probeTimeout = 10 * time.Second

// find finds the runtime that is asked for, or the first of those that are known.
func find(command string, searchPath []string) (ociRuntime, error) {
	candidates := []string{command}
	if command == "" {
		candidates = []string{"runc", "runsc"}
	}
	for _, candidate := range candidates {
		if path, found := lookPath(candidate, searchPath); found {
			return identify(path)
		}
	}
	if command != "" {
		return ociRuntime{}, fmt.Errorf("%w: %s is not there", ErrNoRuntime, command)
	}
	return ociRuntime{}, ErrNoRuntime
}

// lookPath is exec.LookPath with the directories given: nothing but cmd reads the environment.
func lookPath(command string, dirs []string) (string, bool) {
	if filepath.Base(command) != command {
		path, err := filepath.Abs(command)
		return path, err == nil && executable(path)
	}
	for _, dir := range dirs {
		if path := filepath.Join(dir, command); filepath.IsAbs(dir) && executable(path) {
			return path, true
		}
	}
	return "", false
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// identify asks a command which runtime it is. Whatever is not gVisor's is spoken to as runc, whose command line
// others copy.
func identify(path string) (ociRuntime, error) {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{}
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return ociRuntime{}, fmt.Errorf("sandbox: %s --version: %w", path, err)
	}
	return ociRuntime{path: path, gvisor: strings.HasPrefix(string(out), "runsc")}, nil
}

// arguments are the command line that runs a container whose files are in dir.
func (r ociRuntime) arguments(id, dir string) []string {
	args := []string{r.path, "--root", filepath.Join(dir, "state"), "--log", filepath.Join(dir, logFile)}
	if r.gvisor {
		// The network is the namespace's, with the daemon's sockets in it: gVisor's own would have a loopback apart.
		// Control groups are joined before it starts. Nothing may be written over the root, not even in memory.
		args = append(args, "--network=host", "--ignore-cgroups", "--overlay2=none")
	}
	return append(args, "run", "--detach", "--bundle", dir, "--pid-file", filepath.Join(dir, pidFile), id)
}

// What the runtime leaves: the number of the container's process, and its log.
const (
	pidFile = "pid"
	logFile = "log"
)
