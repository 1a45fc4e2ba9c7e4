package environment

import "fmt"

// phase is where an environment is in its life (docs/states.md has the whole picture).
//
//	cold --Init--> ready --Invoke--> busy --answer--> answered --all ask for their next event--> ready
//	  ^                               |                  |
//	  +---reset-----------------------+------------------+      after a crash or a timeout, or a failed Init
//
// from ready by Shutdown, and from anywhere else at once, to closed, for good.
type phase int

const (
	cold phase = iota // a sandbox without a runtime process
	initializing
	ready
	busy
	answered     // the caller has its answer, the runtime or an extension is not ready for the next event
	shuttingDown // an idle environment's end: the runtime and the extensions may say goodbye
	closed
)

func (p phase) String() string {
	return [...]string{"cold", "initializing", "ready", "busy", "answered", "shutting down", "closed"}[p]
}

// moves lists the legal successors of each phase.
var moves = map[phase][]phase{
	cold:         {initializing, closed},
	initializing: {ready, cold, closed},
	ready:        {busy, shuttingDown},
	busy:         {answered, cold, closed},
	answered:     {ready, cold, closed},
	shuttingDown: {closed},
	closed:       {closed},
}

// PhaseError is an illegal move: a programming error, or a Close that came in between.
type PhaseError struct{ from, to phase }

func (e *PhaseError) Error() string {
	return fmt.Sprintf("environment: cannot go from %s to %s", e.from, e.to)
}

// setPhase moves to another phase, or answers a *PhaseError.
func (e *Environment) setPhase(to phase) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, legal := range moves[e.phase] {
		if legal == to {
			e.phase = to
			return nil
		}
	}
	return &PhaseError{e.phase, to}
}

func (e *Environment) is(p phase) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.phase == p
}
