package environment

import (
	"context"
	"time"

	"hotaru/sandbox"
)

// sampleInterval bounds how often memory is read: reading takes some 30 us, too much for every invocation of
// a busy environment.
const sampleInterval = 100 * time.Millisecond

// memoryWatermark is the most memory a sandbox has been seen using. It is used by one invocation at a time.
type memoryWatermark struct {
	maxBytes int64
	sampled  time.Time
}

// ranOut notes that a process was killed for lack of memory: all of it was in use then, and is not by the time that
// anybody reads it.
func (w *memoryWatermark) ranOut(limitMB int) { w.maxBytes = max(w.maxBytes, int64(limitMB)<<20) }

// sample returns the watermark in whole megabytes, reading anew if the last reading is old. A sandbox that
// cannot be read any more keeps the watermark it had.
func (w *memoryWatermark) sample(ctx context.Context, sb sandbox.Sandbox) int64 {
	if now := time.Now(); now.Sub(w.sampled) >= sampleInterval {
		w.sampled = now
		if stats, err := sb.Stats(ctx); err == nil {
			w.maxBytes = max(w.maxBytes, stats.MemoryBytes)
		}
	}
	const megabyte = 1 << 20
	return (w.maxBytes + megabyte - 1) / megabyte
}

// MemoryBytes is the most memory that the environment has been seen using, 0 if nobody has looked yet. It is for whoever
// has just been given the environment back.
func (e *Environment) MemoryBytes() int64 { return e.memory.maxBytes }
