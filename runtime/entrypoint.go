package runtime

import (
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"
)

// EntrypointType is the error type of a custom runtime without a bootstrap that can be started.
const EntrypointType = "Runtime.InvalidEntrypoint"

// EntrypointError is a custom runtime without a bootstrap that can be started. Error is Lambda's message,
// which follows "RequestId: <id> Error: ".
type EntrypointError string

func (e EntrypointError) Error() string { return string(e) }

// Entrypoint returns where inside a sandbox a custom runtime's bootstrap is: /var/task/bootstrap, else
// /opt/bootstrap. task and layers are the files that will be seen there, in the order in which the layers cover each
// other, the topmost first.
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html)
func Entrypoint(task fs.FS, layers ...fs.FS) (string, error) {
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

// bootstrapIn says whether files have a bootstrap that can be started. Links are followed inside them only: what
// is seen inside is not what the host would see.
func bootstrapIn(files fs.FS, shown string) (bool, error) {
	info, err := fs.Stat(files, "bootstrap")
	if err != nil {
		// A link out of the directory leads to something inside the sandbox, if to anything.
		if link, linkErr := fs.ReadLink(files, "bootstrap"); linkErr == nil && path.IsAbs(link) {
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
