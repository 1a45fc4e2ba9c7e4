package environment

import "hotaru/sandbox"

// Weigh says that so many environments share one claim on CPU time (sandbox.Weigher). It waits for nothing.
func (e *Environment) Weigh(crowd int) error { return sandbox.Weigh(e.sandbox, crowd) }
