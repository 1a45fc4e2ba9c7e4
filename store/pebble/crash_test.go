package pebble_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"hotaru/store"
	"hotaru/store/pebble"
)

// The test binary is also the process that is killed: these variables say what it does and where.
const (
	childRole = "HOTARU_TEST_PEBBLE_CHILD"
	childDir  = "HOTARU_TEST_PEBBLE_DIR"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		if err := runChild(role, os.Getenv(childDir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func runChild(role, dir string) error {
	if role == "fill" {
		if _, _, err := fill(dir); err != nil {
			return err
		}
		fmt.Println("filled")
		_, err := io.Copy(io.Discard, os.Stdin) // until it is killed
		return err
	}
	s, err := pebble.Open(context.Background(), pebble.Options{Dir: dir})
	if err != nil {
		return err
	}
	if role == "fail" {
		return commitUntilTheDiskFails(s)
	}
	return commitForever(s)
}

// commitUntilTheDiskFails has the kernel refuse to let any file grow over a limit, which pebble cannot
// survive: the engine must say so for good, and still close.
func commitUntilTheDiskFails(s *pebble.Store) error {
	signal.Ignore(unix.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 100 << 10, Max: 100 << 10}); err != nil {
		return err
	}
	ctx := context.Background()
	for n := range 1000 {
		name := fmt.Sprint(n)
		if _, err := s.Commit(ctx, store.Change{Key: store.NewKey("k", name), Value: make([]byte, 1000)}); err != nil {
			break
		}
		fmt.Println(name)
	}
	_, commit := s.Commit(ctx, store.Change{Key: "a"})
	_, get := s.Get(ctx, store.NewKey("k", "0"))
	if commit == nil || get == nil || errors.Is(get, store.ErrNotFound) {
		return fmt.Errorf("a failed engine goes on: %v, %v", commit, get)
	}
	_ = s.Close() // it may say what failed
	fmt.Println("closed")
	return nil
}

// commitForever prints a record's name once it is acknowledged. Four writers share fsyncs.
func commitForever(s *pebble.Store) error {
	ctx := context.Background()
	failed := make(chan error)
	var print sync.Mutex
	for w := range 4 {
		go func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("%d-%d", w, n)
				_, err := s.Commit(ctx, store.Change{Key: store.NewKey("k", name), Value: make([]byte, n%3000)})
				if err == nil {
					err = s.Queue("q").Append(ctx, store.Message{Body: []byte(name)})
				}
				if err != nil {
					failed <- err
					return
				}
				print.Lock()
				fmt.Println(name)
				print.Unlock()
			}
		}()
	}
	return <-failed
}

type child struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func startChild(t testing.TB, role, dir string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childDir+"="+dir)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: cmd, lines: bufio.NewScanner(out)}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			c.kill()
		}
	})
	return c
}

// line waits for the next line; false when the child has ended.
func (c *child) line() (string, bool) {
	ok := c.lines.Scan()
	return c.lines.Text(), ok
}

// kill ends the process at once, and returns what it had printed that nobody read.
func (c *child) kill() (rest []string) {
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Error(err)
	}
	for c.lines.Scan() {
		rest = append(rest, c.lines.Text())
	}
	_ = c.cmd.Wait() // it was killed
	return rest
}

// TestKill kills a process in the middle of its commits, several times on the same directory: what it said
// was acknowledged is there each time.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	for round := range 4 {
		c := startChild(t, "commit", dir)
		var acked []string
		for len(acked) < 300+400*round {
			line, ok := c.line()
			if !ok {
				t.Fatal("the child ended by itself")
			}
			acked = append(acked, line)
		}
		acked = append(acked, c.kill()...)
		s := open(t, dir)
		for _, name := range acked {
			if _, err := s.Get(t.Context(), store.NewKey("k", name)); err != nil {
				t.Errorf("record %s was acknowledged: %v", name, err)
			}
		}
		checkQueue(t, s, acked)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkQueue looks for the names among the messages, and acknowledges them.
func checkQueue(t *testing.T, s *pebble.Store, names []string) {
	q := s.Queue("q")
	found := make(map[string]bool)
	for {
		leased, err := leaseNow(q, 100)
		if err != nil {
			t.Fatal(err)
		}
		var ids []store.LeaseID
		for _, l := range leased {
			found[string(l.Body)] = true
			ids = append(ids, l.Lease)
		}
		if err := q.Ack(t.Context(), ids...); err != nil {
			t.Fatal(err)
		}
		if len(leased) < 100 {
			break
		}
	}
	for _, name := range names {
		if !found[name] {
			t.Errorf("message %s was acknowledged and is gone", name)
		}
	}
}

// TestFailingDisk has a process's disk refuse writes in the middle of its commits.
func TestFailingDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	c := startChild(t, "fail", dir)
	var acked []string
	for {
		line, ok := c.line()
		if !ok {
			t.Fatalf("the child ended after %d commits and before it closed its store", len(acked))
		}
		if line == "closed" {
			break
		}
		acked = append(acked, line)
	}
	if len(acked) == 0 || len(acked) == 1000 {
		t.Fatalf("%d commits were acknowledged: the disk did not fail", len(acked))
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	defer s.Close()
	for _, name := range acked {
		if _, err := s.Get(t.Context(), store.NewKey("k", name)); err != nil {
			t.Errorf("record %s was acknowledged: %v", name, err)
		}
	}
	if _, err := s.Commit(t.Context(), store.Change{Key: "a"}); err != nil {
		t.Errorf("Commit after the repair: %v", err)
	}
}

func TestLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	c := startChild(t, "commit", dir)
	if _, ok := c.line(); !ok {
		t.Fatal("the child ended by itself")
	}
	_, err := pebble.Open(t.Context(), pebble.Options{Dir: dir})
	if !errors.Is(err, store.ErrLocked) || !containsPID(err, c.cmd.Process.Pid) {
		t.Errorf("Open: %v, want ErrLocked with pid %d", err, c.cmd.Process.Pid)
	}
	c.kill()
	if err := open(t, dir).Close(); err != nil {
		t.Error(err)
	}
}

func containsPID(err error, pid int) bool {
	var found int
	text := err.Error()
	for i := range text {
		if n, _ := fmt.Sscanf(text[i:], "pid %d", &found); n == 1 && found == pid {
			return true
		}
	}
	return false
}
