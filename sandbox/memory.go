package sandbox

// MemoryBounder is a Driver that may keep all of its sandboxes together within a limit (LimitAllMemory), beyond which
// their processes are killed, the largest first.
type MemoryBounder interface {
	// MemoryLeft is how many bytes its sandboxes can use until then; ok is false where there is no limit, or nobody tells.
	MemoryLeft() (bytes int64, ok bool)
}
