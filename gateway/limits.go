package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Limits bound what clients can take of a server. Zero fields have the defaults. There is none on how long a request's
// answer takes, because an invocation may run for 15 minutes.
type Limits struct {
	// HeaderTime is how long a connection may take to say what it is, to shake hands, and to send a request's header.
	// Default: 10 s.
	HeaderTime time.Duration
	// HeaderBytes is the most of a request's line and header. Default: 64 KiB.
	HeaderBytes int
	// IdleTime is how long a connection is kept between requests. Default: 2 min.
	IdleTime time.Duration
	// BodyTime is how long a body may take beyond what BodyRate, in bytes per second, allows for what has come of it.
	// Default: 30 s and 16 KiB/s.
	BodyTime time.Duration
	BodyRate int
	// WriteTime is how long a client may read nothing of an answer that is being sent. Default: 1 min.
	WriteTime time.Duration
	// BodyMemory bounds the bytes of all bodies that are in memory at a time. Default: 512 MiB.
	BodyMemory int64
	// BodyWait is how long a request waits for its share of BodyMemory until it is refused. Default: 2 s.
	BodyWait time.Duration
	// Connections bounds the connections of a port. Default: 4,096.
	Connections int
}

// lingerTime is how long the rest of a refused request's body is awaited, so that its connection can be kept.
const lingerTime = 200 * time.Millisecond

func (l Limits) withDefaults() Limits {
	orElse(&l.HeaderTime, 10*time.Second)
	orElse(&l.HeaderBytes, 64<<10)
	orElse(&l.IdleTime, 2*time.Minute)
	orElse(&l.BodyTime, 30*time.Second)
	orElse(&l.BodyRate, 16<<10)
	orElse(&l.WriteTime, time.Minute)
	orElse(&l.BodyMemory, 512<<20)
	orElse(&l.BodyWait, 2*time.Second)
	orElse(&l.Connections, 4096)
	return l
}

func orElse[N int | int64 | time.Duration](field *N, value N) {
	if *field == 0 {
		*field = value
	}
}

// NewServer makes the HTTP server for a handler with the default limits.
func NewServer(h http.Handler, logger *slog.Logger) *http.Server {
	return Limits{}.NewServer(h, logger)
}

// NewServer makes the HTTP server for a handler: HTTP/1.1 and HTTP/2, plain or, where the listener hands over
// connections of crypto/tls, over TLS.
func (l Limits) NewServer(h http.Handler, logger *slog.Logger) *http.Server {
	l = l.withDefaults()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: h, ReadHeaderTimeout: l.HeaderTime, IdleTimeout: l.IdleTime, MaxHeaderBytes: l.HeaderBytes,
		Protocols: protocols, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		// OPTIONS * is checked like everything else.
		DisableGeneralOptionsHandler: true,
	}
}

// budget is an amount of memory that requests share, first come first served.
type budget struct {
	total int64

	mu sync.Mutex
	// left and waiting are guarded by mu. Nobody waits while enough is left for the first who does.
	left    int64
	waiting []*waiter
}

type waiter struct {
	n int64
	// ready is closed when n has been taken for the waiter.
	ready chan struct{}
}

func newBudget(total int64) *budget { return &budget{total: total, left: total} }

// take takes n bytes, and waits for them at most the given time, or until ctx ends. It answers how many it took: n, or
// all there ever are if that is less; 0 means that it waited in vain.
func (b *budget) take(ctx context.Context, n int64, wait time.Duration) int64 {
	n = min(n, b.total)
	b.mu.Lock()
	if len(b.waiting) == 0 && b.left >= n {
		b.left -= n
		b.mu.Unlock()
		return n
	}
	w := &waiter{n, make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.ready:
		return n
	case <-timer.C:
	case <-ctx.Done():
	}
	if b.leave(w) {
		return 0
	}
	return n // it came at the last moment
}

// leave takes a waiter out of the queue; false means that it has been served.
func (b *budget) leave(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.waiting {
		if other == w {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.serveLocked() // those behind may need less
			return true
		}
	}
	return false
}

// give puts n bytes back.
func (b *budget) give(n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
	b.serveLocked()
}

func (b *budget) serveLocked() {
	for len(b.waiting) > 0 && b.waiting[0].n <= b.left {
		b.left -= b.waiting[0].n
		close(b.waiting[0].ready)
		b.waiting = b.waiting[1:]
	}
}
