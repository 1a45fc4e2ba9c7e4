package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseEvent(t *testing.T) {
	for _, line := range []string{
		"", "python3.11 12/13 1.5: sched:sched_switch: prev_comm=a", "raw_syscalls:sys_exit: NR 0 = 1",
		"a x/1 1.5: raw_syscalls:sys_exit: NR 0 = 1", "a 1/1 x: raw_syscalls:sys_exit: NR 0 = 1",
		"a 1/1 1.5: raw_syscalls:sys_exit: NR x = 1", "a 1/1 1.5: raw_syscalls:sys_exit: NR 0 = x",
	} {
		if e, ok := parseEvent(line); ok {
			t.Errorf("%q: %+v", line, e)
		}
	}
	for line, want := range map[string]event{
		"  a b 12/13 2.000500: raw_syscalls:sys_enter: NR 1 (1c, 1c07f4d56000, 15f, 0, 0, 0)": {12, 2000500 * time.Microsecond, true, write, 0x15f},
		"python3.11 7/7 1.5:  raw_syscalls:sys_exit: NR 19 = 274":                             {7, 1500 * time.Millisecond, false, readv, 274},
		"python3.11 7/7 1.5:  raw_syscalls:sys_exit: NR 0 = -11":                              {7, 1500 * time.Millisecond, false, read, -11},
	} {
		if got, ok := parseEvent(line); !ok || got != want {
			t.Errorf("%q: %t %+v, want %+v", line, ok, got, want)
		}
	}
}

// TestTrace follows two whole invokes, with noise between, and one of which the middle is missing.
func TestTrace(t *testing.T) {
	const daemon, client, runtime = 10, 20, 30
	tr := newTrace(daemon, client)
	at := time.Second
	add := func(pid int, enters bool, call int, size int64) {
		at += 10 * time.Microsecond
		tr.add(event{pid, at, enters, call, size})
	}
	invoke := func() {
		add(client, true, write, 400)
		add(daemon, false, read, 400)
		add(daemon, true, write, 8) // a wake-up, not an event
		add(daemon, false, read, -11)
		add(daemon, true, writev, 2)
		add(runtime, false, readv, 270)
		add(runtime, true, writev, 4)
		add(daemon, false, read, 70)
		add(daemon, true, write, 350)
		add(client, false, read, 350)
	}
	invoke()
	add(client, true, write, 400)
	add(daemon, false, read, 400)
	invoke()
	if len(tr.whole) != 2 || tr.whole[0] != 90*time.Microsecond || tr.whole[1] != 90*time.Microsecond {
		t.Errorf("%v", tr.whole)
	}
	for i, durations := range tr.all[1:] {
		want := 10 * time.Microsecond
		if i == 1 {
			want = 30 * time.Microsecond // with what is no event
		}
		if d := cmp.Diff([]time.Duration{want, want}, durations); d != "" {
			t.Errorf("%s (-want +got)\n%s", tr.steps[i+1].name, d)
		}
	}
	var out strings.Builder
	if err := tr.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 invokes\n", "| whole | 90 | 90 |\n", "daemon 3.0, runtime 1.0, client 1.5\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, &out)
		}
	}
	if err := newTrace(1, 2).print(&out); err == nil {
		t.Error("nothing traced, no error")
	}
}
