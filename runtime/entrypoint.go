package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// EntrypointType is the error type of a custom runtime without a bootstrap that can be started.
const EntrypointType = "Runtime.InvalidEntrypoint"

// EntrypointError is a custom runtime without a bootstrap that can be started. Error is Lambda's message,
// which follows "RequestId: <id> Error: ".
type EntrypointError string

func (e EntrypointError) Error() string { return string(e) }

// Entrypoint returns where inside a sandbox a custom runtime's bootstrap is: /var/task/bootstrap, else
// /opt/bootstrap. task and layers are the host's directories that will be seen there, in the order in which
// the layers cover each other, the topmost first.
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html)
func Entrypoint(task string, layers ...string) (string, error) {
	if found, err := bootstrapIn(task, TaskRoot); found || err != nil {
		return TaskRoot + "/bootstrap", err
	}
	for _, layer := range layers {
		if found, err := bootstrapIn(layer, LayerRoot); found || err != nil {
			return LayerRoot + "/bootstrap", err
		}
	}
	return "", EntrypointError(fmt.Sprintf("Couldn't find valid bootstrap(s): [%s/bootstrap %s/bootstrap]", TaskRoot, LayerRoot))
}

// bootstrapIn says whether dir has a bootstrap that can be started. Links are followed inside dir only: what
// is seen inside is not what the host would see.
func bootstrapIn(dir, shown string) (bool, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("runtime: %w", err)
	}
	defer root.Close()
	info, err := root.Stat("bootstrap")
	if err != nil {
		// A link out of the directory leads to something inside the sandbox, if to anything.
		if link, linkErr := root.Readlink("bootstrap"); linkErr == nil && filepath.IsAbs(link) {
			return true, nil
		}
		return false, nil
	}
	if info.IsDir() {
		return false, nil
	}
	if info.Mode().Perm()&0o111 == 0 {
		return false, EntrypointError(fmt.Sprintf("fork/exec %s/bootstrap: %v", shown, unix.EACCES))
	}
	return true, nil
}
