package pool

import (
	"sync"
	"time"
)

// Budget is the memory of one machine that environments and blanks may use together. What is taken of it is what they
// are expected to use, not what they may use at most: a function of 10,240 MB that idles uses 30. Because expectations
// can be wrong, the budget also asks the machine what is left (docs/adr/0010-memory-by-expectation.md).
// A nil Budget has no end. It is safe for concurrent use; its lock is the innermost.
type Budget struct {
	limit int64
	// wall is beyond the limit: see Wall.
	wall int64
	// reserve is what the machine keeps, whatever was taken.
	reserve   int64
	available func() (bytes int64, ok bool)

	mu sync.Mutex // guards what follows
	// walls say how much more can be used before environments are killed.
	walls []func() (bytes int64, ok bool)
	used  int64
	// leaving is the part of used whose owners are on their way out.
	leaving int64
	// left is what the machine had at the time of reading, less what was taken since; known says that it could be read.
	left    int64
	known   bool
	reading time.Time
	// freed is called, without a lock, when something has left.
	freed func()
}

// The parts of what a machine has available that are the default of a budget, and that are never given away.
const (
	usualPart   = 0.8
	reservePart = 0.05
)

// What is between a budget and its wall, for what the kernel counts and the budget does not, such as memory that is given
// back late: a part of the budget, and some bytes for the smallest. The wall leaves the machine its reserve, unless the
// budget does not either.
const (
	leewayPart  = 8
	leastLeeway = 64 << 20
)

// readingAge is how old the reading of the machine's memory may get: it takes some 30 us.
const readingAge = 100 * time.Millisecond

// NewBudget makes a budget of so many bytes; 0 means four fifths of what is available now. available reads how many bytes
// the machine has left without swapping; ok is false where that is not known, and then no limit means no limit.
func NewBudget(limit int64, available func() (bytes int64, ok bool)) *Budget {
	b := &Budget{limit: limit, available: available}
	now, known := available()
	if known {
		b.reserve = int64(float64(now) * reservePart)
		if limit == 0 {
			b.limit = int64(float64(now) * usualPart)
		}
	}
	if b.limit > 0 {
		b.wall = b.limit + b.limit/leewayPart + leastLeeway
	}
	if known {
		b.wall = max(b.limit, min(b.wall, now-b.reserve))
	}
	return b
}

// Limit is how many bytes there are to take; 0 means no end.
func (b *Budget) Limit() int64 {
	if b == nil {
		return 0
	}
	return b.limit
}

// Used is how many bytes are taken, those that are leaving included.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// take takes so many bytes if they are there.
func (b *Budget) take(bytes int64) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shortLocked(bytes) > 0 {
		return false
	}
	b.used += bytes
	b.left -= bytes
	return true
}

// Reserve makes a limited budget so many bytes smaller, for what is neither an environment nor a blank. What may be expected of
// one environment ends with the limit: it must fit when there is no other. To be called before anybody takes.
func (b *Budget) Reserve(bytes int64) {
	if b != nil && b.limit > 0 {
		b.limit = max(b.limit-bytes, 1)
	}
}

// Short says whether there is less than nothing left to take: who can do without memory gives it back.
func (b *Budget) Short() bool { return b.short(0) > 0 }

// short is how many bytes more than those that leave already must do so before take succeeds.
func (b *Budget) short(bytes int64) int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shortLocked(bytes) - b.leaving
}

func (b *Budget) shortLocked(bytes int64) int64 {
	b.readLocked()
	var short int64
	if b.limit > 0 {
		short = b.used + bytes - b.limit
	}
	if b.known {
		short = max(short, b.reserve+bytes-b.left)
	}
	return short
}

func (b *Budget) readLocked() {
	if now := time.Now(); now.Sub(b.reading) >= readingAge {
		b.left, b.known = b.read(b.walls)
		b.reading = now
	}
}

// look reads what the machine has before somebody asks, who may hold locks.
func (b *Budget) look() {
	if b == nil {
		return
	}
	b.mu.Lock()
	walls := b.walls
	b.mu.Unlock()
	left, known := b.read(walls)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left, b.known, b.reading = left, known, time.Now()
}

// read is what the machine has left, by its own count and by those of the walls.
func (b *Budget) read(walls []func() (bytes int64, ok bool)) (left int64, known bool) {
	left, known = b.available()
	for _, wall := range walls {
		// Half of what the wall leaves beyond the budget is for what running environments take meanwhile.
		if bytes, ok := wall(); ok {
			bytes += b.reserve - (b.wall-b.limit)/2
			if left = min(left, bytes); !known {
				left, known = bytes, true
			}
		}
	}
	return left, known
}

// Wall is how many bytes all environments together must never use, whatever was expected of them: the drivers enforce it.
// 0 means that there is none.
func (b *Budget) Wall() int64 {
	if b == nil {
		return 0
	}
	return b.wall
}

// Watch has the budget keep away from a wall, too, of which left says how many bytes can be used before it is reached; ok
// is false where nobody tells. Nothing is given while they are few, and idle environments leave.
func (b *Budget) Watch(left func() (bytes int64, ok bool)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.walls = append(b.walls, left)
}

// departing is how much is about to be given back.
func (b *Budget) departing() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leaving
}

// correct changes what is taken by so many bytes, which may be negative, wherever that leads.
func (b *Budget) correct(bytes int64) {
	if b == nil || bytes == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += bytes
}

// leave says that the owner of so many bytes is on its way out: they are taken until left.
func (b *Budget) leave(bytes int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaving += bytes
}

// gone gives back what left.
func (b *Budget) gone(bytes int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.used -= bytes
	b.leaving -= bytes
	b.left += bytes
	freed := b.freed
	b.mu.Unlock()
	if freed != nil {
		freed()
	}
}

func (b *Budget) onFreed(f func()) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freed = f
}

// bound is the most that one owner can be expected to use: what is more than all there is would never be had.
func (b *Budget) bound(bytes int64) int64 {
	if b == nil || b.limit == 0 {
		return bytes
	}
	return min(bytes, b.limit)
}
