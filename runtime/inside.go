package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"hotaru/sandbox"
)

// insideLimits bound what an image's program may use while it is asked what it is.
var insideLimits = sandbox.Limits{MemoryBytes: 512 << 20, PIDs: 64, TmpBytes: 64 << 20}

const (
	insideTimeout = 30 * time.Second
	maxOutput     = 4 << 20
)

// programError is how a base image's program failed.
type programError struct {
	program string
	status  sandbox.ExitStatus
	// said is the end of what it printed on standard error.
	said []byte
}

func (e *programError) Error() string {
	how := fmt.Sprintf("exit status %d", e.status.Code)
	if e.status.Signal != 0 {
		how = e.status.Signal.String()
	}
	return fmt.Sprintf("%s of the image ends with %s: %s", e.program, how, e.said)
}

// maxSaid is how much of a failure's words is kept.
const maxSaid = 1 << 10

// inside runs a program of a base image in a sandbox, because an image is a stranger's, and returns what it prints.
// files, unless it is empty, is shown at /opt. A program that fails is a *programError.
func (c *Catalog) inside(ctx context.Context, base *Base, program string, args []string, files string) (out []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, insideTimeout)
	defer cancel()
	spec := sandbox.Spec{ID: "look-" + strings.ToLower(rand.Text()), Root: base.Root, Limits: insideLimits}
	if files != "" {
		spec.Binds = []sandbox.Bind{{Source: files, Target: LayerRoot}}
	}
	box, err := c.Driver.Create(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, box.Destroy(context.WithoutCancel(ctx))) }()
	r, w, err := sandbox.OutputPipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	said, complaint, err := sandbox.OutputPipe()
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	defer said.Close()
	process, err := box.Start(ctx, sandbox.Command{
		Path: program, Args: append([]string{program}, args...), Env: base.lookEnv(program), Stdout: w, Stderr: complaint,
	})
	if err := errors.Join(err, w.Close(), complaint.Close()); err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := errors.Join(r.SetReadDeadline(deadline), said.SetReadDeadline(deadline)); err != nil {
			return nil, fmt.Errorf("runtime: %w", err)
		}
	}
	words := make(chan []byte, 1)
	go func() { words <- lastOf(said) }()
	out, err = io.ReadAll(io.LimitReader(r, maxOutput))
	if err != nil {
		return nil, fmt.Errorf("runtime: %s of the image: %w", program, err)
	}
	select {
	case <-process.Done():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if status := process.Status(); status != (sandbox.ExitStatus{}) {
		return nil, &programError{program, status, <-words}
	}
	return out, nil
}

// lastOf reads to the end, or as long as there is time, and keeps the last maxSaid bytes.
func lastOf(r io.Reader) []byte {
	var kept []byte
	buffer := make([]byte, maxSaid)
	for {
		n, err := r.Read(buffer)
		if kept = append(kept, buffer[:n]...); len(kept) > maxSaid {
			kept = kept[len(kept)-maxSaid:]
		}
		if err != nil {
			return kept
		}
	}
}

// lookEnv is the image's own environment, with which its programs find their libraries. An image that says nothing of
// libraries has those of a program beside it.
func (b *Base) lookEnv(program string) []string {
	env := []string{"LC_ALL=" + fallback, "PATH=/usr/local/bin:/usr/bin:/bin"}
	if !slices.ContainsFunc(b.Env, func(entry string) bool { return strings.HasPrefix(entry, "LD_LIBRARY_PATH=") }) {
		env = append(env, "LD_LIBRARY_PATH="+path.Join(path.Dir(program), "../lib"))
	}
	return b.imageEnv(env)
}
