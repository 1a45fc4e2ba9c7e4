package control

import (
	"context"
	"errors"
	"sync"

	"hotaru/function"
)

// activations are the creations and updates under way in the background.
type activations struct {
	group sync.WaitGroup
	once  sync.Once
	ctx   context.Context
	stop  context.CancelFunc
}

func (a *activations) begin() context.Context {
	a.once.Do(func() { a.ctx, a.stop = context.WithCancel(context.Background()) })
	return a.ctx
}

func (a *activations) close(ctx context.Context) {
	a.begin()
	ended := make(chan struct{})
	go func() {
		a.group.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		a.stop()
	case <-ctx.Done():
		a.stop()
		<-ended
	}
}

// activate brings a function that is being created or updated to its end: Active or Successful, or Failed with
// the reason.
func (l *Lambda) activate(id function.ID) {
	ctx := l.activations.begin()
	l.activations.group.Go(func() {
		if err := l.finish(ctx, id); err != nil && ctx.Err() == nil {
			l.Logger.Error("a function's creation or update did not end", "function", id.ARN(), "error", err)
		}
	})
}

// finish prepares what an environment of the newest generation needs, and records how that went.
func (l *Lambda) finish(ctx context.Context, id function.ID) error {
	_, err := l.Functions.update(ctx, id, func(h *head) ([]*function.Version, error) {
		if !h.Status.InProgress() {
			return nil, errUnchanged
		}
		v, err := l.Functions.version(ctx, h, h.Latest)
		if err != nil {
			return nil, err
		}
		if why, failed := l.prepare(ctx, v); failed {
			h.Status = h.Status.Broken(why)
			h.publishingFailed(why)
			return nil, nil
		}
		h.Serving, h.Publishing, h.Status = h.Latest, 0, h.Status.Ready()
		return nil, nil
	})
	if gone := (*function.Error)(nil); errors.As(err, &gone) && gone.Code == function.ErrResourceNotFound {
		return nil // deleted meanwhile
	}
	if err == nil {
		l.Environments.Retire(id)
	}
	return err
}

// prepare checks that the runtime is here and unpacks the code.
func (l *Lambda) prepare(ctx context.Context, v *function.Version) (why function.Condition, failed bool) {
	installed, err := l.Runtimes.Resolve(ctx, v.Runtime)
	if err != nil {
		return function.Condition{Reason: err.Error(), Code: function.ReasonInvalidRuntime}, true
	}
	if installed.Warning != "" {
		l.Logger.Warn(installed.Warning, "function", v.ID.ARN())
	}
	_, err = l.Packages.Root(ctx, v.Code.Digest)
	if err == nil && len(v.Layers) > 0 {
		_, err = l.Packages.Merged(ctx, v.LayerDigests())
	}
	if err != nil {
		l.Logger.Error("a deployment package cannot be unpacked", "function", v.ID.ARN(), "error", err)
		return function.Condition{
			Reason: "The deployment package could not be unpacked.", Code: function.ReasonInvalidZipFile,
		}, true
	}
	return function.Condition{}, false
}
