package environment

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"hotaru/runtime"
	"hotaru/runtimeapi"
	"hotaru/sandbox"
)

// startRuntime starts a runtime process and opens the conversation with it. A wrapped program may turn out to
// talk either way. sandbox.ErrNotFound says that there is no such program.
func startRuntime(ctx context.Context, sb sandbox.Sandbox, out *output, program runtime.Program, env []string,
	wrapped bool) (conversation, error) {
	command := sandbox.Command{
		Path: program.Path, Args: program.Args, Dir: program.Dir, Env: env, Stdout: out.writeEnd, Stderr: out.writeEnd,
	}
	var c conversation
	if program.Frames {
		ours, theirs, err := runtimeapi.Pair()
		if err != nil {
			return c, fmt.Errorf("environment: %w", err)
		}
		defer theirs.Close()
		command.Files = []*os.File{theirs}
		c.session = runtimeapi.NewFrames(ours, out)
	}
	if !program.Frames || wrapped {
		lent, err := lend(sb.Listener(RuntimeAPIAddress))
		if err != nil {
			return c, err
		}
		c.host = runtimeapi.NewHost(lent, nil)
		server := c.host.NewSession()
		if c.session != nil {
			c.session = runtimeapi.NewEither(c.session, server)
		} else {
			c.session = server
		}
	}
	var err error
	if c.process, err = sb.Start(ctx, command); err != nil {
		c.close()
		return conversation{}, fmt.Errorf("environment: start runtime: %w", err)
	}
	if !program.Frames || wrapped {
		// A socketpair ends with its process; HTTP, which is one request at a time, must be told.
		go func() {
			<-c.process.Done()
			_ = c.session.Close() // closing a session that is closed is fine
		}()
	}
	return c, nil
}

// close ends the conversation; there is nobody left to tell.
func (c *conversation) close() {
	if c.session != nil {
		_ = c.session.Close()
	}
	if c.host != nil {
		c.host.Close()
	}
}

// lentListener lends a listener to one conversation. The sandbox owns the listener, and the next runtime
// process after a reset is served on it again, so Close only sends the borrower away.
type lentListener struct{ net.Listener }

func lend(l net.Listener) (net.Listener, error) {
	d, ok := l.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return nil, fmt.Errorf("environment: a listener of type %T cannot be lent", l)
	}
	return lentListener{l}, d.SetDeadline(time.Time{})
}

func (l lentListener) Close() error {
	return l.Listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Unix(1, 0))
}
