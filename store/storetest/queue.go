package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/store"
)

// Queue runs every test of a store.Queue.
func Queue(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Opener)
	}{
		{"refuses what makes no sense", queueRefuses},
		{"refuses unknown leases", queueUnknownLease},
		{"refuses leases given to somebody else", queueLostLease},
		{"ends waiting with the context and the engine", queueWaitEnds},
		{"delivers in due-time order", queueOrder},
		{"waits until a message is due", queueDue},
		{"hides leased messages until they run out", queueVisibility},
		{"extends leases", queueExtend},
		{"retries with the attempt counted", queueRetry},
		{"keeps queues apart", queueNames},
		{"keeps what it has acknowledged", queueReopen},
		{"serves many consumers", queueConsumers},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

// long is a visibility that does not end during a test; short ones end while Lease waits for that.
const (
	long  = time.Hour
	short = 20 * time.Millisecond
)

func appendBodies(t testing.TB, q store.Queue, bodies ...string) {
	t.Helper()
	messages := make([]store.Message, len(bodies))
	for i, b := range bodies {
		messages[i].Body = []byte(b)
	}
	if err := q.Append(soon(t), messages...); err != nil {
		t.Fatalf("Append: %v", err)
	}
}

func lease(t testing.TB, q store.Queue, n int, visibility time.Duration) []store.Leased {
	t.Helper()
	leased, err := q.Lease(soon(t), n, visibility)
	if err != nil {
		t.Fatalf("Lease: %v", err)
	}
	return leased
}

// empty says whether nothing can be leased now, without waiting for what is due later.
func empty(t testing.TB, q store.Queue) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), short)
	defer cancel()
	leased, err := q.Lease(ctx, 1, long)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Lease: %v", err)
	}
	return len(leased) == 0
}

func bodies(leased []store.Leased) []string {
	var got []string
	for _, l := range leased {
		got = append(got, string(l.Body))
	}
	return got
}

func ack(t testing.TB, q store.Queue, leased ...store.Leased) {
	t.Helper()
	var ids []store.LeaseID
	for _, l := range leased {
		ids = append(ids, l.Lease)
	}
	if err := q.Ack(soon(t), ids...); err != nil {
		t.Fatalf("Ack: %v", err)
	}
}

func queueRefuses(t *testing.T, open Opener) {
	q := open.fresh(t).Queue("q")
	for _, c := range []struct {
		n          int
		visibility time.Duration
	}{{0, long}, {-1, long}, {1, 0}, {1, -1}} {
		_, err := q.Lease(soon(t), c.n, c.visibility)
		wantError(t, fmt.Sprintf("Lease(%d, %v)", c.n, c.visibility), err, store.ErrInvalid)
	}
	wantError(t, "Extend by nothing", q.Extend(soon(t), 0), store.ErrInvalid)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wantError(t, "Append", q.Append(ctx, store.Message{}), context.Canceled)
	if err := q.Append(soon(t)); err != nil {
		t.Errorf("Append of nothing: %v", err)
	}
}

func queueUnknownLease(t *testing.T, open Opener) {
	dir := t.TempDir()
	e := open(t, dir)
	q := e.Queue("q")
	appendBodies(t, q, "a", "b")
	leased := lease(t, q, 2, long)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	q = open.at(t, dir).Queue("q")
	for _, id := range []store.LeaseID{"", "nonsense", leased[0].Lease} {
		wantError(t, "Ack", q.Ack(soon(t), id), store.ErrLeaseLost)
		wantError(t, "Retry", q.Retry(soon(t), id, time.Time{}, nil), store.ErrLeaseLost)
		wantError(t, "Extend", q.Extend(soon(t), long, id), store.ErrLeaseLost)
	}
	again := lease(t, q, 2, long)
	if diff := cmp.Diff([]string{"a", "b"}, bodies(again)); diff != "" {
		t.Errorf("after refusals: %s", diff)
	}
	wantError(t, "Ack of a known and an unknown lease", q.Ack(soon(t), again[0].Lease, "nonsense"), store.ErrLeaseLost)
	wantError(t, "second Ack", q.Ack(soon(t), again[0].Lease), store.ErrLeaseLost)
	wantError(t, "Extend of one lost lease", q.Extend(soon(t), time.Nanosecond, again[1].Lease, again[0].Lease), store.ErrLeaseLost)
	if !empty(t, q) {
		t.Error("a refused Extend changed the other lease")
	}
}

func queueLostLease(t *testing.T, open Opener) {
	q := open.fresh(t).Queue("q")
	appendBodies(t, q, "a")
	first := lease(t, q, 1, short)[0]
	second := lease(t, q, 1, long)[0]
	wantError(t, "Ack", q.Ack(soon(t), first.Lease), store.ErrLeaseLost)
	wantError(t, "Retry", q.Retry(soon(t), first.Lease, time.Time{}, nil), store.ErrLeaseLost)
	wantError(t, "Extend", q.Extend(soon(t), long, first.Lease), store.ErrLeaseLost)
	ack(t, q, second)
	if !empty(t, q) {
		t.Error("an acknowledged message came back")
	}
}

func queueWaitEnds(t *testing.T, open Opener) {
	e := open(t, t.TempDir())
	q := e.Queue("q")
	ctx, cancel := context.WithCancel(soon(t))
	ended := make(chan error)
	wait := func(ctx context.Context) {
		_, err := q.Lease(ctx, 1, long)
		ended <- err
	}
	go wait(ctx)
	go wait(soon(t))
	cancel()
	wantError(t, "Lease", <-ended, context.Canceled)
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	wantError(t, "Lease", <-ended, store.ErrClosed)
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	wantError(t, "Append", q.Append(soon(t), store.Message{}), store.ErrClosed)
}

func queueOrder(t *testing.T, open Opener) {
	q := open.fresh(t).Queue("q")
	now := time.Now()
	for _, m := range []store.Message{
		{Body: []byte("3"), Due: now.Add(-1 * time.Second)},
		{Body: []byte("1"), Due: now.Add(-3 * time.Second)},
		{Body: []byte("far"), Due: now.Add(time.Hour)},
		{Body: []byte("2"), Due: now.Add(-2 * time.Second)},
		{Body: []byte("0"), Due: time.Unix(-100, 0)},
	} {
		if err := q.Append(soon(t), m); err != nil {
			t.Fatal(err)
		}
	}
	appendBodies(t, q, "4", "5", "6")
	got := bodies(lease(t, q, 3, long))
	got = append(got, bodies(lease(t, q, 10, long))...)
	if diff := cmp.Diff([]string{"0", "1", "2", "3", "4", "5", "6"}, got); diff != "" {
		t.Error(diff)
	}
	if err := q.Append(soon(t), store.Message{Body: []byte("late"), Due: now.Add(-time.Minute)}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"late"}, bodies(lease(t, q, 10, long))); diff != "" {
		t.Error(diff)
	}
}

func queueDue(t *testing.T, open Opener) {
	q := open.fresh(t).Queue("q")
	due := time.Now().Add(3 * short)
	if err := q.Append(soon(t), store.Message{Body: []byte("a"), Due: due}); err != nil {
		t.Fatal(err)
	}
	got := lease(t, q, 1, long)[0]
	if time.Now().Before(due.Truncate(time.Microsecond)) {
		t.Error("leased before it was due")
	}
	if !got.Due.Equal(due.Truncate(time.Microsecond)) || got.Attempt != 1 || got.Appended.After(due) {
		t.Errorf("leased %+v", got)
	}
	woken := make(chan []store.Leased)
	go func() {
		leased, err := q.Lease(soon(t), 1, long)
		if err != nil {
			t.Error(err)
		}
		woken <- leased
	}()
	appendBodies(t, q, "b")
	if diff := cmp.Diff([]string{"b"}, bodies(<-woken)); diff != "" {
		t.Error(diff)
	}
}

func queueVisibility(t *testing.T, open Opener) {
	q := open.fresh(t).Queue("q")
	appendBodies(t, q, "a")
	start := time.Now()
	first := lease(t, q, 1, 3*short)[0]
	second := lease(t, q, 1, short)[0]
	if waited := time.Since(start); waited < 3*short {
		t.Errorf("hidden for %v, want %v", waited, 3*short)
	}
	if first.Lease == second.Lease || string(second.Body) != "a" || first.Attempt != 1 || second.Attempt != 2 {
		t.Errorf("leased %+v, then %+v", first, second)
	}
	third := lease(t, q, 1, long)[0]
	if third.Attempt != 3 {
		t.Errorf("third attempt is number %d", third.Attempt)
	}
	if !empty(t, q) {
		t.Error("a leased message is not hidden")
	}
}

func queueExtend(t *testing.T, open Opener) {
	q := open.fresh(t).Queue("q")
	appendBodies(t, q, "a")
	l := lease(t, q, 1, long)[0]
	if err := q.Extend(soon(t), short, l.Lease); err != nil {
		t.Fatal(err)
	}
	again := lease(t, q, 1, 10*short)[0] // had to wait for the shortened lease only
	if err := q.Extend(soon(t), long, again.Lease); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 12*short)
	defer cancel()
	if leased, err := q.Lease(ctx, 1, long); len(leased) > 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an extended lease ran out: %v, %v", leased, err)
	}
	ack(t, q, again)
}

func queueRetry(t *testing.T, open Opener) {
	dir := t.TempDir()
	e := open(t, dir)
	q := e.Queue("q")
	appendBodies(t, q, "a")
	first := lease(t, q, 1, long)[0]
	if err := q.Retry(soon(t), first.Lease, time.Now().Add(short), nil); err != nil {
		t.Fatal(err)
	}
	wantError(t, "Ack after Retry", q.Ack(soon(t), first.Lease), store.ErrLeaseLost)
	second := lease(t, q, 1, long)[0]
	if second.Attempt != 2 || string(second.Body) != "a" || !second.Appended.Equal(first.Appended) {
		t.Errorf("retried %+v as %+v", first, second)
	}
	if err := q.Retry(soon(t), second.Lease, time.Time{}, []byte("b")); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	q = open.at(t, dir).Queue("q")
	third := lease(t, q, 2, long)
	if len(third) != 1 || third[0].Attempt != 3 || string(third[0].Body) != "b" || !third[0].Appended.Equal(first.Appended) {
		t.Errorf("after reopening: %+v", third)
	}
}

func queueNames(t *testing.T, open Opener) {
	e := open.fresh(t)
	for _, name := range []string{"a", "a/", "ab", "", "\x00", "é"} {
		appendBodies(t, e.Queue(name), name)
	}
	for _, name := range []string{"a", "a/", "ab", "", "\x00", "é"} {
		if diff := cmp.Diff([]string{name}, bodies(lease(t, e.Queue(name), 10, long))); diff != "" {
			t.Errorf("queue %q: %s", name, diff)
		}
	}
	if got := listed(t, e.State, "", ""); got != nil {
		t.Errorf("messages show as records: %v", got)
	}
}

func queueReopen(t *testing.T, open Opener) {
	dir := t.TempDir()
	e := open(t, dir)
	q := e.Queue("q")
	appendBodies(t, q, "acked", "leased", "waiting")
	ack(t, q, lease(t, q, 1, long)...)
	lease(t, q, 1, long)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	q = open.at(t, dir).Queue("q")
	if diff := cmp.Diff([]string{"leased", "waiting"}, bodies(lease(t, q, 10, long))); diff != "" {
		t.Error(diff)
	}
}

// queueConsumers lets consumers take, drop, retry and acknowledge at once: every message is acknowledged in
// the end, none twice.
func queueConsumers(t *testing.T, open Opener) {
	const consumers, messages = 6, 120
	q := open.fresh(t).Queue("q")
	ctx, done := context.WithCancel(soon(t))
	var mu sync.Mutex
	acked := make(map[string]int)
	count := func(body string) {
		mu.Lock()
		defer mu.Unlock()
		if acked[body]++; len(acked) == messages {
			done()
		}
	}
	var wg sync.WaitGroup
	for c := range consumers {
		wg.Go(func() {
			for n := c; ; n++ {
				leased, err := q.Lease(ctx, 3, long)
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				for i, l := range leased {
					consume(t, q, l, n+i, count)
				}
			}
		})
	}
	for i := range messages {
		appendBodies(t, q, strconv.Itoa(i))
	}
	wg.Wait()
	for body, n := range acked {
		if n != 1 {
			t.Errorf("message %s was acknowledged %d times", body, n)
		}
	}
	if len(acked) != messages || !empty(t, q) {
		t.Errorf("%d of %d messages were acknowledged", len(acked), messages)
	}
}

func consume(t *testing.T, q store.Queue, l store.Leased, turn int, count func(string)) {
	var err error
	switch {
	case l.Attempt < 3 && turn%3 == 1:
		err = q.Retry(soon(t), l.Lease, time.Time{}, nil)
	case l.Attempt < 3 && turn%3 == 2:
		err = q.Extend(soon(t), time.Millisecond, l.Lease)
	default:
		if err = q.Ack(soon(t), l.Lease); err == nil {
			count(string(l.Body))
		}
	}
	if err != nil {
		t.Errorf("message %s, attempt %d: %v", l.Body, l.Attempt, err)
	}
}
