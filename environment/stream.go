package environment

import (
	"errors"
	"io"
	"time"

	"hotaru/runtimeapi"
)

// ErrStreamFailed ends a streamed answer whose invocation failed on the way.
var ErrStreamFailed = errors.New("environment: the invocation failed while it answered")

// answerStream is an answer on its way from the runtime to the caller.
type answerStream struct {
	env *Environment
	src io.Reader
	// left is how many bytes there may still be.
	left int64
	end  error
}

func (s *answerStream) Read(p []byte) (int, error) {
	if s.end != nil {
		return 0, s.end
	}
	n, err := s.src.Read(p)
	s.env.turn.sent = time.Now()
	s.env.turn.produced += int64(n)
	if s.left -= int64(n); s.left < 0 {
		n, err = n+int(s.left), runtimeapi.ResponseTooLarge(runtimeapi.MaxStreamed)
	}
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		s.end = io.EOF
	default:
		s.end = s.fail(err)
	}
	return n, s.end
}

// fail notes in the outcome why the stream has ended.
func (s *answerStream) fail(err error) error {
	e := s.env
	fail, broken := e.converse(e.turn.ctx, e.cfg.Version, func(runtimeapi.Session) error { return err })
	e.turn.broken = e.turn.broken || broken
	if fail.platform != nil {
		return fail.platform
	}
	e.turn.failed(fail)
	if fail.kind == kindExit {
		// The caller hears of the answer, as on Lambda; the log has the reason.
		cut := runtimeapi.Truncated()
		e.turn.outcome.Payload, e.turn.outcome.ErrorType = cut.Payload, cut.Type
	}
	return ErrStreamFailed
}
