package telemetry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hotaru/runtimeapi/refusal"
)

// What a hub may hold. Whoever subscribes may be hostile, and the memory is the daemon's.
const (
	// maxHeld bounds the records of all subscribers that are not delivered yet, in bytes.
	maxHeld = 8 << 20
	// historyItems and historyBytes bound what is kept in Init for those who subscribe later in it.
	historyItems, historyBytes = 1_000, 256 << 10
	// maxRequest bounds a Subscribe request's body.
	maxRequest = 64 << 10
)

// Config is what a hub needs to know.
type Config struct {
	// Dial connects to a server inside the environment: see sandbox.Sandbox.Dial.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// JSON says that the function's log format is JSON: what it prints is passed on as it is, not as a text.
	JSON bool
	// Subscribed is told of each new subscription. It may call Emit.
	Subscribed func(Subscription)
}

// Hub passes records on to subscribers, from one Init to the reset or the end that follows it. Emit and Log never wait
// for a subscriber: what one does not take in time is dropped, and it is told how much. Its methods are safe for
// concurrent use.
type Hub struct {
	cfg Config
	// active says that somebody subscribes, or may still: if not, Emit and Log cost one look at it.
	active atomic.Bool
	held   atomic.Int64 // bytes of records not delivered yet
	paused gate

	ctx    context.Context // ends deliveries
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu          sync.Mutex // guards what follows and the order of records
	closing     bool       // no new subscriptions
	closed      bool
	history     []entry // what was said before the first subscription could be made
	historySize int
	subscribers []*subscriber
}

// entry is a record, or a line that was printed.
type entry struct {
	at     time.Time
	kind   Type
	record Record // of TypePlatform
	line   []byte // of the others
}

// NewHub returns a hub that takes subscriptions. Close it.
func NewHub(cfg Config) *Hub {
	h := &Hub{cfg: cfg}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.active.Store(true)
	return h
}

// Active says whether anybody may want to know: a caller need not make records when it is false.
func (h *Hub) Active() bool { return h.active.Load() }

// Emit passes on a record of the platform's.
func (h *Hub) Emit(at time.Time, record Record) {
	if h.active.Load() {
		h.pass(entry{at: at, kind: TypePlatform, record: record})
	}
}

// Log passes on a line that the function or an extension has printed. It keeps no reference to it.
func (h *Hub) Log(at time.Time, kind Type, line []byte) {
	if h.active.Load() {
		h.pass(entry{at: at, kind: kind, line: line})
	}
}

func (h *Hub) pass(e entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	if !h.closing {
		h.rememberLocked(e)
	}
	var encoded [Telemetry20250129 + 1][]byte // by schema: each is made once at most
	for _, s := range h.subscribers {
		schema, wanted := s.wants(e.kind)
		if !wanted {
			continue
		}
		if encoded[schema] == nil {
			encoded[schema] = h.encode(e, schema)
		}
		s.add(encoded[schema])
	}
}

// rememberLocked keeps a copy for those who subscribe later, and drops what is too much.
func (h *Hub) rememberLocked(e entry) {
	size := len(e.line) + 64
	if len(h.history) == historyItems || h.historySize+size > historyBytes {
		return
	}
	e.line = slices.Clone(e.line)
	h.history = append(h.history, e)
	h.historySize += size
}

func (h *Hub) encode(e entry, schema Schema) []byte {
	if e.kind == TypePlatform {
		return Encode(e.at, e.record, schema)
	}
	return encodeLine(e.at, e.kind, e.line, h.cfg.JSON)
}

// CloseSubscriptions ends the time in which extensions may subscribe: Init.
func (h *Hub) CloseSubscriptions() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closing, h.history = true, nil
	h.active.Store(len(h.subscribers) > 0 && !h.closed)
}

// Serve answers a Subscribe request (PUT /2022-07-01/telemetry, or PUT /2020-08-15/logs if logs) of the extension of
// that name.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, extension string, logs bool) {
	kind, title := "Telemetry", "Telemetry API"
	invalid := "ValidationError"
	if logs {
		kind, title, invalid = "Logs", "Logs API", "Logs.ValidationError"
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		refusal.Write(w, http.StatusBadRequest, invalid, "request body cannot be read")
		return
	}
	wanted, wrong := parse(body, logs)
	switch {
	case h.isClosing():
		refusal.Write(w, http.StatusForbidden, kind+".SubscriptionClosed", title+" subscription is closed already")
	case wrong != "":
		refusal.Write(w, http.StatusBadRequest, invalid, wrong)
	default:
		err := h.subscribe(extension, wanted)
		switch {
		case errors.Is(err, errClosed):
			refusal.Write(w, http.StatusForbidden, kind+".SubscriptionClosed", title+" subscription is closed already")
		case errors.Is(err, errOther):
			refusal.Write(w, http.StatusBadRequest, invalid, "extension is already subscribed through the other API")
		default:
			refusal.Reply(w, http.StatusOK, []byte(`"OK"`))
		}
	}
}

var (
	errClosed = errors.New("telemetry: subscriptions are closed")
	errOther  = errors.New("telemetry: subscribed through the other API")
)

func (h *Hub) isClosing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closing || h.closed
}

// subscribe adds a subscriber, or changes the one of that extension: a second request is no second subscription.
func (h *Hub) subscribe(extension string, wanted subscription) error {
	h.mu.Lock()
	if h.closing || h.closed {
		h.mu.Unlock()
		return errClosed
	}
	if i := slices.IndexFunc(h.subscribers, func(s *subscriber) bool { return s.name == extension }); i >= 0 {
		defer h.mu.Unlock()
		if !h.subscribers[i].change(wanted) {
			return errOther
		}
		return nil
	}
	s := newSubscriber(h, extension, wanted)
	h.subscribers = append(h.subscribers, s)
	for _, e := range h.history {
		if slices.Contains(wanted.types, e.kind) {
			s.add(h.encode(e, wanted.schema))
		}
	}
	h.work.Go(s.run)
	h.mu.Unlock() // before Subscribed, which may Emit
	if h.cfg.Subscribed != nil {
		sub := Subscription{Name: extension, State: "Subscribed", Logs: wanted.schema.logs()}
		for _, t := range wanted.types {
			sub.Types = append(sub.Types, string(t))
		}
		h.cfg.Subscribed(sub)
	}
	return nil
}

// Pause holds deliveries back while the environment is frozen; Resume lets them go on. A delivery that has begun is
// not ended by Pause: it waits for the thaw as its server does.
func (h *Hub) Pause() { h.paused.close() }

// Resume undoes Pause.
func (h *Hub) Resume() { h.paused.open() }

// Flush has everything delivered now, without waiting for more, and waits for it until ctx ends.
func (h *Hub) Flush(ctx context.Context) {
	h.mu.Lock()
	subscribers := slices.Clone(h.subscribers)
	h.mu.Unlock()
	for _, s := range subscribers {
		s.flush()
	}
	for _, s := range subscribers {
		s.settled(ctx)
	}
}

// Close ends deliveries and waits for their goroutines. What is not delivered is lost. Idempotent.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed, h.history = true, nil
	h.active.Store(false)
	h.mu.Unlock()
	h.cancel()
	h.work.Wait()
}

// gate is open at first.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // closed by open; nil while the gate is open
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

// pass waits until the gate is open. False if ctx ended first.
func (g *gate) pass(ctx context.Context) bool {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened == nil {
		return true
	}
	select {
	case <-opened:
		return true
	case <-ctx.Done():
		return false
	}
}
