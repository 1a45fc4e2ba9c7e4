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

// startRuntime starts a runtime process and opens the conversation with it: in frames if the program talks those, over
// HTTP if there is a host to do so, over whichever it chooses if both (a wrapped program may turn out to talk either
// way). With a template the process is a copy of that. sandbox.ErrNotFound says that there is no such program.
func startRuntime(ctx context.Context, sb sandbox.Sandbox, out *output, program runtime.Program, env []string,
	host *runtimeapi.Host, template sandbox.Template) (conversation, error) {
	command := sandbox.Command{
		Path: program.Path, Args: program.Args, Dir: program.Dir, Env: env,
		Stdout: out.runtime.writeEnd, Stderr: out.runtime.writeEnd, Template: template,
	}
	var c conversation
	var ends []func() error // what tells each transport that the process has ended
	if program.Frames {
		ours, theirs, err := runtimeapi.Pair()
		if err != nil {
			return c, fmt.Errorf("environment: %w", err)
		}
		defer theirs.Close()
		command.Files = []*os.File{theirs}
		c.session = runtimeapi.NewFrames(ours, out)
		// A child that the runtime has left behind may hold the other end open. What the runtime has said is still read.
		ends = append(ends, ours.CloseRead)
	}
	if host != nil {
		server := host.NewSession()
		ends = append(ends, server.Close)
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
	go func() {
		<-c.process.Done()
		for _, end := range ends {
			_ = end() // what is closed already is fine
		}
	}()
	return c, nil
}

// close ends the conversation; there is nobody left to tell.
func (c *conversation) close() {
	if c.session != nil {
		_ = c.session.Close()
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
