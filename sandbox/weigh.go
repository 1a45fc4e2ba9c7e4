package sandbox

// Weigher is a Sandbox whose claim on CPU time can be divided while it runs, frozen or not.
type Weigher interface {
	// Weigh says that so many sandboxes share one claim, 1 from the start. Where those that run want more CPU time than there
	// is, each gets its claim's part of it, in proportion to Limits.MemoryBytes, and of that its own part. ErrDestroyed
	// answers after Destroy.
	Weigh(crowd int) error
}

// Weigh divides a sandbox's claim on CPU time, where its driver can.
func Weigh(sb Sandbox, crowd int) error {
	if w, ok := sb.(Weigher); ok {
		return w.Weigh(crowd)
	}
	return nil
}
