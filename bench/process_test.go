package main

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/internal/load"
)

func TestParseStat(t *testing.T) {
	for _, text := range []string{"", "1 python3 S 2", "1 (a) S 2", ") 1 (", "x (a) S 2 3 4 5 6 7 8 9 10 11 12 13 14 15", "1 (a) S 2 3 4 5 6 7 8 9 10 11 12 13 14 x"} {
		if p, err := parseStat(text); err == nil {
			t.Errorf("%q: %+v", text, p)
		}
	}
	got, err := parseStat("12 (a) b (c) S 3 4 5 6 7 8 9 10 11 12 100 50 7 3 20 0 1")
	want := procStat{pid: 12, parent: 3, used: 1500 * time.Millisecond, childrenUsed: 100 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("%v: %+v, want %+v", err, got, want)
	}
}

func TestDescend(t *testing.T) {
	all := []procStat{{pid: 1}, {pid: 2, parent: 1}, {pid: 5, parent: 3}, {pid: 3, parent: 2}, {pid: 4, parent: 1}, {pid: 6, parent: 5}}
	var got []int
	for pid := range descend(all, 2) {
		got = append(got, pid)
	}
	if want := map[int]bool{2: true, 3: true, 5: true, 6: true}; len(got) != len(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if found := descend(all, 9); len(found) != 0 {
		t.Errorf("of nobody: %v", found)
	}
}

func TestParseRollup(t *testing.T) {
	if m, err := parseRollup("Pss: x kB\n"); err == nil {
		t.Errorf("%+v", m)
	}
	got, err := parseRollup("00400000-7fff r--p 00000000 00:00 0 [rollup]\nRss:    9 kB\nPss:    8 kB\nPss_Dirty: 1 kB\n" +
		"Private_Clean:  2 kB\nPrivate_Dirty:  3 kB\nTHPeligible: 0\n")
	if want := (memory{private: 5, proportional: 8, resident: 9}); err != nil || got != want {
		t.Errorf("%v: %+v, want %+v", err, got, want)
	}
}

// TestOwnProcess reads what the kernel says of this one.
func TestOwnProcess(t *testing.T) {
	pid := os.Getpid()
	members, err := family(pid)
	if err != nil || members[pid].parent != os.Getppid() {
		t.Errorf("%v: %+v", err, members)
	}
	m, err := memoryOf(pid)
	if err != nil || m.private <= 0 || m.resident < m.private {
		t.Errorf("%v: %+v", err, m)
	}
	if m, err := memoryOf(1 << 30); err != nil || m != (memory{}) {
		t.Errorf("of nobody: %v: %+v", err, m)
	}
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	if all, err := namespaces(pid); err != nil || len(all[own]) == 0 {
		t.Errorf("%v: %v", err, all)
	}
}

func TestParseMetrics(t *testing.T) {
	got := parseMetrics("# HELP a b\n# TYPE a gauge\na{state=\"is ready\"} 2\nb 1.5e3\nc x\n\n")
	if d := cmp.Diff(map[string]float64{`a{state="is ready"}`: 2, "b": 1500}, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestColdParts(t *testing.T) {
	metrics := map[string]float64{
		`hotaru_sandbox_operation_seconds_sum{operation="attach"}`: 0.002, `hotaru_sandbox_operation_seconds_count{operation="attach"}`: 4,
		`hotaru_sandbox_operation_seconds_sum{operation="create"}`: 7, `hotaru_sandbox_operation_seconds_count{operation="create"}`: 1,
		`aws_lambda_init_duration_seconds_sum{function="a"}`: 0.001, `aws_lambda_init_duration_seconds_count{function="a"}`: 1,
		`aws_lambda_init_duration_seconds_sum{function="b"}`: 0.003, `aws_lambda_init_duration_seconds_count{function="b"}`: 1,
	}
	if got, want := coldParts(metrics, true), "of it, on average, 0.5 ms attaching code and 2 ms Init"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	want := "of it, on average, 7000 ms making the sandbox, 0 ms starting a process in it and 2 ms Init"
	if got := coldParts(metrics, false); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := coldParts(nil, true); got != "of it, on average, 0 ms attaching code and 0 ms Init" {
		t.Errorf("nothing measured: %s", got)
	}
}

func TestCrowd(t *testing.T) {
	sent := time.UnixMilli(1_700_000_000_000)
	ran := func(after, took time.Duration, started, where string) load.Answer {
		return load.Answer{Sent: sent.Add(after), Took: took, Payload: []byte(`{"started":` + started + `,"where":"` + where + `"}`)}
	}
	c := newCrowd([]load.Answer{
		ran(10*time.Millisecond, time.Second, "1700000000.500", "b"),
		ran(0, 400*time.Millisecond, "1700000000.250", "a"),
		ran(0, 2*time.Second, "1700000001.000", "a"),
	})
	r := c.row("burst", 7)
	want := Row{
		Figure: "burst", Unit: "ms", N: 3, Value: 1000, Failure: "not all ran at once",
		Detail: "the last of them started; half of them after 500 ms; 2 at once in 2 environments; 7 zygotes ready",
	}
	if d := cmp.Diff(want, r); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	c = newCrowd([]load.Answer{ran(0, time.Second, "1700000000.5", "a"), ran(0, time.Second, "1700000000.6", "b")})
	if r := c.row("burst", 0); r.Failure != "" || r.Value != 600 {
		t.Errorf("%+v", r)
	}
	c = newCrowd([]load.Answer{{Sent: sent, Err: &load.StatusError{Status: 429}}, {Sent: sent, Payload: []byte("no JSON")}})
	if r := c.row("burst", 0); r.N != 0 || r.Failure != "2 of 2 failed, one with status 429: " {
		t.Errorf("%+v", r)
	}
}
