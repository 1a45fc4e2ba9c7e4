// Command trace says where the time of a warm invoke goes, from the system calls that perf has recorded of the client,
// the daemon and the runtime: perf script's lines come on standard input. docs/performance.md has the commands.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"hotaru/internal/load"
)

func main() {
	daemon := flag.Int("daemon", 0, "the daemon's process id")
	client := flag.Int("client", 0, "the client's process id")
	flag.Parse()
	t := newTrace(*daemon, *client)
	scanner := bufio.NewScanner(os.Stdin)
	for scanner.Scan() {
		if e, ok := parseEvent(scanner.Text()); ok {
			t.add(e)
		}
	}
	if err := scanner.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "trace:", err)
		os.Exit(1)
	}
	if err := t.print(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "trace:", err)
		os.Exit(1)
	}
}

// event is the beginning of a system call, or its end with a result.
type event struct {
	pid    int
	at     time.Duration
	enters bool
	// call is the number on x86-64. size is a write's third argument at its beginning, and the result at the end.
	call int
	size int64
}

// The system calls that carry events and answers.
const (
	read, write, readv, writev, recvfrom, sendto = 0, 1, 19, 20, 45, 44
)

// parseEvent reads a line of `perf script -F comm,pid,tid,time,event,trace`:
//
//	python3.11 17296/17296 18613.676353: raw_syscalls:sys_enter: NR 20 (3, 7f907706ee30, 4, 0, 0, 0)
//	python3.11 17296/17296 18613.676356:  raw_syscalls:sys_exit: NR 20 = 71
func parseEvent(line string) (event, bool) {
	head, tail, ok := strings.Cut(line, "raw_syscalls:sys_")
	fields := strings.Fields(head)
	words := strings.Fields(tail)
	if !ok || len(fields) < 2 || len(words) < 5 {
		return event{}, false
	}
	pid, _, _ := strings.Cut(fields[len(fields)-2], "/")
	e := event{enters: words[0] == "enter:"}
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(fields[len(fields)-1], ":"), 64)
	if err != nil {
		return event{}, false
	}
	e.at = time.Duration(seconds * float64(time.Second))
	if e.pid, err = strconv.Atoi(pid); err != nil {
		return event{}, false
	}
	if e.call, err = strconv.Atoi(words[2]); err != nil {
		return event{}, false
	}
	if !e.enters {
		e.size, err = strconv.ParseInt(words[4], 10, 64)
		return e, err == nil
	}
	if len(words) > 5 { // a missing size is that of no write
		e.size, _ = strconv.ParseInt(strings.Trim(words[5], "(),"), 16, 64)
	}
	return e, true
}

// small is less than any event or answer: what the schedulers tell each other.
const small = 16

// sends says that a system call begins to send something.
func (e event) sends() bool {
	return e.enters && (e.call == writev || (e.call == write || e.call == sendto) && e.size > small)
}

// receives says that a system call has received something.
func (e event) receives() bool {
	return !e.enters && (e.call == read || e.call == readv || e.call == recvfrom) && e.size > small
}

// step is a part of an invoke: it ends with what one of the three processes does.
type step struct {
	name string
	ends func(t *trace, e event) bool
}

func (t *trace) isDaemon(e event) bool  { return e.pid == t.daemon }
func (t *trace) isClient(e event) bool  { return e.pid == t.client }
func (t *trace) isRuntime(e event) bool { return e.pid != t.daemon && e.pid != t.client }

// steps are what an invoke consists of, in their order. The first begins it.
func steps() []step {
	return []step{
		{"", func(t *trace, e event) bool { return t.isClient(e) && e.sends() }},
		{"client -> daemon: request sent, a thread woken, request read", func(t *trace, e event) bool { return t.isDaemon(e) && e.receives() }},
		{"daemon: HTTP, signature, permission, environment", func(t *trace, e event) bool { return t.isDaemon(e) && e.sends() }},
		{"daemon -> runtime: event sent, the runtime woken, event read", func(t *trace, e event) bool { return t.isRuntime(e) && e.receives() }},
		{"runtime: bootstrap and handler", func(t *trace, e event) bool { return t.isRuntime(e) && e.sends() }},
		{"runtime -> daemon: answer sent, a thread woken, answer read", func(t *trace, e event) bool { return t.isDaemon(e) && e.receives() }},
		{"daemon: answer written", func(t *trace, e event) bool { return t.isDaemon(e) && e.sends() }},
		{"daemon -> client: answer sent, the client woken, answer read", func(t *trace, e event) bool { return t.isClient(e) && e.receives() }},
	}
}

// trace follows one invoke after the other.
type trace struct {
	daemon, client int
	steps          []step
	// next is the step that is awaited, began when the one before ended, and took how long each took in this invoke.
	next  int
	began time.Duration
	took  []time.Duration
	// all has the durations of each step over all whole invokes, and whole their sums.
	all   [][]time.Duration
	whole []time.Duration
	// calls counts system calls since the first whole invoke began.
	calls map[string]int
}

func newTrace(daemon, client int) *trace {
	s := steps()
	return &trace{daemon: daemon, client: client, steps: s, all: make([][]time.Duration, len(s)), calls: map[string]int{}}
}

func (t *trace) add(e event) {
	if e.enters {
		switch {
		case t.isDaemon(e):
			t.calls["daemon"]++
		case t.isClient(e):
			t.calls["client"]++
		default:
			t.calls["runtime"]++
		}
	}
	if t.steps[0].ends(t, e) { // also in the middle of one, of which something is missing
		t.next, t.began, t.took = 1, e.at, t.took[:0]
		return
	}
	if t.next == 0 || !t.steps[t.next].ends(t, e) {
		return
	}
	t.took = append(t.took, e.at-t.began)
	t.began = e.at
	if t.next++; t.next < len(t.steps) {
		return
	}
	var sum time.Duration
	for i, took := range t.took {
		t.all[i+1] = append(t.all[i+1], took)
		sum += took
	}
	t.whole = append(t.whole, sum)
	t.next = 0
}

func (t *trace) print(w io.Writer) error {
	if len(t.whole) == 0 {
		return fmt.Errorf("no whole invoke between client %d and daemon %d", t.client, t.daemon)
	}
	text := fmt.Appendf(nil, "%d invokes\n\n| part | p50 us | p90 us |\n|---|---|---|\n", len(t.whole))
	row := func(name string, durations []time.Duration) {
		slices.Sort(durations)
		text = fmt.Appendf(text, "| %s | %d | %d |\n", name, load.Percentile(durations, 0.5).Microseconds(), load.Percentile(durations, 0.9).Microseconds())
	}
	for i, s := range t.steps[1:] {
		row(s.name, t.all[i+1])
	}
	row("whole", t.whole)
	text = fmt.Appendf(text, "\nSystem calls per invoke: daemon %.1f, runtime %.1f, client %.1f\n",
		t.perInvoke("daemon"), t.perInvoke("runtime"), t.perInvoke("client"))
	_, err := w.Write(text)
	return err
}

func (t *trace) perInvoke(process string) float64 {
	return float64(t.calls[process]) / float64(len(t.whole))
}
