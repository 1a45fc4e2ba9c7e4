//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/userns"
	"hotaru/sandbox/sandboxtest"
)

// stage is what daemons of these tests share: programs, a root, and a state directory.
type stage struct {
	t     *testing.T
	image []byte // stage-1
	root  sandbox.Root
	code  string
	state string
	v1    bool
	hulls int // that its drivers keep at most
}

func newStage(t *testing.T) *stage {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the namespace driver makes namespaces and control groups")
	}
	s := &stage{t: t, image: sandboxtest.Stage1(t), root: sandboxtest.Root(t), code: t.TempDir(), state: t.TempDir()}
	if err := os.Chmod(s.code, 0o755); err != nil {
		t.Fatal(err)
	}
	sandboxtest.WriteCopier(t, s.code)
	return s
}

// open opens a driver. The test closes it.
func (s *stage) open(fault func(Point) error) *Driver {
	s.t.Helper()
	driver, err := New(Config{
		StateDir: s.state, Stage1: s.image, CgroupV1: s.v1, Hulls: s.hulls, Fault: fault, Log: slog.New(slog.NewTextHandler(s.t.Output(), nil)),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return driver
}

// rate is unlike any other state directory's, so that a limit of a disk that is left can be told from others'.
func rate(state string) int64 {
	hash := fnv.New32a()
	hash.Write([]byte(state))
	return 64<<20 + int64(hash.Sum32()>>8)
}

// live is a whole life, with a /tmp of so many bytes. It returns the sandbox, if one was made and not destroyed, and the
// first error.
func live(ctx context.Context, driver *Driver, root sandbox.Root, code string, tmp int64) (sandbox.Sandbox, error) {
	box, err := driver.Create(ctx, sandbox.Spec{
		ID: "crash", Root: root, Listen: []string{"127.0.0.1:9001"},
		Limits: sandbox.Limits{MemoryBytes: 64 << 20, TmpBytes: tmp, DiskBytesPerSecond: rate(driver.state.dir)},
	})
	if err != nil {
		return nil, err
	}
	steps := []func() error{
		func() error {
			const work = "echo x >/tmp/x; while :; do sleep 1 & wait; done"
			_, err := box.Start(ctx, sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", work}, Env: []string{"PATH=/usr/bin"}})
			return err
		},
		func() error { return box.Attach(ctx, []sandbox.Bind{{Source: code, Target: "/var/task"}}) },
		func() error { return box.Freeze(ctx) },
		func() error { return box.Thaw(ctx) },
		func() error { return box.Reset(ctx) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return box, err
		}
	}
	return nil, box.Destroy(ctx)
}

// live is the whole life that has the point in it.
func (s *stage) live(ctx context.Context, driver *Driver, point Point) (sandbox.Sandbox, error) {
	switch {
	case slices.Contains(TemplatePoints, point):
		return s.copied(ctx, driver)
	case s.hulls > 0:
		return s.hulled(ctx, driver)
	}
	tmp := int64(8 << 20)
	if point == PointDirectory {
		tmp = 0 // a directory, not an image
	}
	return live(ctx, driver, s.root, s.code, tmp)
}

// copied is the life of a sandbox whose process is a copy. The template is left to the driver to close.
func (s *stage) copied(ctx context.Context, driver *Driver) (sandbox.Sandbox, error) {
	cmd := sandboxtest.Copier(s.t, s.code)
	template, err := driver.NewTemplate(ctx, sandboxtest.Template(s.root, cmd))
	if err != nil {
		return nil, err
	}
	box, err := driver.Create(ctx, sandbox.Spec{ID: "crash", Root: s.root})
	if err != nil {
		return nil, err
	}
	cmd = sandboxtest.Code(s.t, cmd, "import time; time.sleep(1000)")
	cmd.Template = template
	if _, err := box.Start(ctx, cmd); err != nil {
		return box, err
	}
	return nil, box.Destroy(ctx)
}

const (
	crashState = "HOTARU_TEST_CRASH_STATE" // tells this test binary to be the daemon that dies
	crashPoint = "HOTARU_TEST_CRASH_POINT"
	crashFiles = "HOTARU_TEST_CRASH_FILES" // stage-1, root and code, with colons between
	crashV1    = "HOTARU_TEST_CRASH_V1"
	crashHulls = "HOTARU_TEST_CRASH_HULLS" // how many hulls it keeps; it dies after it has begun to make the first
)

// childStage is the stage that this process was started for.
func childStage(t *testing.T) *stage {
	t.Helper()
	files := strings.Split(os.Getenv(crashFiles), ":")
	if len(files) != 3 {
		t.Skip("runs as a child of other tests only")
	}
	image, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	root := sandbox.Root{Dir: files[1], Binds: []sandbox.Bind{{Source: "/usr", Target: "/usr"}}}
	hulls, _ := strconv.Atoi(os.Getenv(crashHulls)) // 0 if there are none
	return &stage{t: t, image: image, root: root, code: files[2], state: os.Getenv(crashState), v1: os.Getenv(crashV1) != "", hulls: hulls}
}

// child is this test binary as a daemon of its own, that runs one test.
func (s *stage) child(test string, env ...string) *exec.Cmd {
	s.t.Helper()
	program := filepath.Join(s.t.TempDir(), "stage1")
	if err := os.WriteFile(program, s.image, 0o700); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v")
	// It dies before it can remove what it makes there.
	cmd.Env = append(os.Environ(), "TMPDIR="+s.t.TempDir(), crashState+"="+s.state, crashFiles+"="+strings.Join([]string{program, s.root.Dir, s.code}, ":"))
	if s.v1 {
		cmd.Env = append(cmd.Env, crashV1+"=yes")
	}
	if s.hulls > 0 {
		cmd.Env = append(cmd.Env, crashHulls+"="+strconv.Itoa(s.hulls))
	}
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// TestCrashingDaemon is the daemon that kills itself at a step.
func TestCrashingDaemon(t *testing.T) {
	s := childStage(t)
	var began atomic.Bool
	driver := s.open(func(p Point) error {
		if p == PointHull {
			began.Store(true)
		}
		if p != Point(os.Getenv(crashPoint)) || s.hulls > 0 && !began.Load() {
			return nil
		}
		for _, pid := range childrenOfSelf() {
			fmt.Println("child", pid)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			return err
		}
		select {}
	})
	_, err := s.live(t.Context(), driver, Point(os.Getenv(crashPoint)))
	t.Fatalf("it came to the end: %v", errors.Join(err, driver.Close()))
}

func childrenOfSelf() []int {
	var all []int
	lists, _ := filepath.Glob("/proc/self/task/*/children") // fails for a bad pattern alone
	for _, list := range lists {
		content, err := os.ReadFile(list)
		if err != nil {
			continue // the thread ended
		}
		for _, field := range strings.Fields(string(content)) {
			if pid, err := strconv.Atoi(field); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all
}

// killedAt runs the daemon until it kills itself at a point, and returns its children.
func (s *stage) killedAt(point Point) []int {
	s.t.Helper()
	out, err := s.child("TestCrashingDaemon", crashPoint+"="+string(point)).Output()
	if err == nil || !strings.Contains(err.Error(), unix.SIGKILL.String()) {
		s.t.Fatalf("at %s the daemon ended with %v\n%s", point, err, out)
	}
	var children []int
	for line := range strings.Lines(string(out)) {
		if pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "child "))); err == nil {
			children = append(children, pid)
		}
	}
	return children
}

// left lists what is there of a state directory: processes, loop devices, control groups, limits and files.
func (s *stage) left(name string) []string {
	s.t.Helper()
	var found []string
	for _, pid := range slices.Concat(s.processes(name), templates(name)) {
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		found = append(found, fmt.Sprintf("process %d %q", pid, command))
	}
	backing, _ := filepath.Glob("/sys/block/loop*/loop/backing_file") // as above
	for _, path := range backing {
		if content, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(content), s.state+"/") {
			found = append(found, "loop device on "+string(content))
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/", "/sys/fs/cgroup/*/*/", "/sys/fs/cgroup/*/*/*/"} {
		groups, _ := filepath.Glob(pattern + name)
		found = append(found, groups...)
	}
	rules, err := os.ReadFile("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(rules)) {
		if strings.HasPrefix(line, "7:") && strings.HasSuffix(line, " "+strconv.FormatInt(rate(s.state), 10)+"\n") {
			found = append(found, "limit "+line)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.Contains(string(mounts), s.state+"/") {
		found = append(found, "mounts")
	}
	for _, dir := range []string{"sandboxes", filepath.Join("images", name)} {
		entries, err := os.ReadDir(filepath.Join(s.state, dir))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, entry := range entries {
			found = append(found, dir+"/"+entry.Name())
		}
	}
	return found
}

// processes finds those that run as a user of the state directory's sandboxes.
func (s *stage) processes(name string) []int {
	numbers := newNumbers(name, userns.IDs{})
	first, last := numbers.initID(0), numbers.userID(perBlock-1)
	var found []int
	statuses, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range statuses {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		_, after, _ := strings.Cut(string(content), "\nUid:\t")
		uid, err := strconv.Atoi(strings.Fields(after + " x")[0])
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && uid >= first && uid <= last && !strings.Contains(string(content), "State:\tZ") {
			found = append(found, pid)
		}
	}
	return found
}

// nothingLeft waits until nothing is: the kernel lets go of some things a moment after their owner is gone.
func (s *stage) nothingLeft(name string) {
	s.t.Helper()
	var found []string
	for wait := time.Millisecond; wait < 30*time.Second; wait *= 2 {
		if found = s.left(name); len(found) == 0 {
			return
		}
		<-time.After(wait)
	}
	s.t.Errorf("left behind: %s", strings.Join(found, ", "))
}

// Whenever the daemon is killed, the next one leaves nothing of it, and another daemon's sandbox does not notice.
func TestDaemonKilled(t *testing.T) {
	bystander := newStage(t)
	sandboxtest.CheckLeaks(t)
	other := bystander.open(nil)
	alive, err := other.Create(t.Context(), sandbox.Spec{ID: "crash", Root: bystander.root, Limits: sandbox.Limits{TmpBytes: 8 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := alive.Start(t.Context(), sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "echo mine >/tmp/x; sleep 1000"}})
	if err != nil {
		t.Fatal(err)
	}
	_, noV1 := os.Stat("/sys/fs/cgroup/freezer/cgroup.procs")
	for _, v1 := range []bool{false, true} {
		for _, point := range slices.Concat(Points, TemplatePoints) {
			// Version 1 differs in what is frozen and in how one is killed.
			if v1 && (noV1 != nil || !slices.Contains([]Point{PointThaw, PointReset, PointKill, PointRemoveGroup, PointFork, PointAdopt}, point)) {
				continue
			}
			t.Run(fmt.Sprintf("%s/v1=%t", point, v1), func(t *testing.T) {
				s := newStage(t)
				s.v1 = v1
				before := s.swept(point)
				if v1 && point == PointThaw && !slices.ContainsFunc(before, func(item string) bool { return strings.HasPrefix(item, "process") }) {
					t.Error("frozen processes were to be left: the test does not test")
				}
			})
		}
	}
	select {
	case <-p.Done():
		t.Errorf("the bystander's process ended with %+v", p.Status())
	default:
	}
	name := other.state.name
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	bystander.nothingLeft(name)
}

// swept has the daemon killed at a point and checks that the next one leaves nothing of it. It returns what there was.
func (s *stage) swept(point Point) (before []string) {
	s.t.Helper()
	children := s.killedAt(point)
	driver := s.open(nil)
	name := driver.state.name
	before = s.left(name)
	s.t.Logf("before the sweep: %q", before)
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	if err := errors.Join(driver.Sweep(ctx), driver.Close()); err != nil {
		s.t.Error(err)
	}
	s.nothingLeft(name)
	for _, pid := range children {
		if command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.HasPrefix(string(command), "hotaru-launcher") {
			s.t.Errorf("the launcher %d lives", pid)
		}
	}
	return before
}

var errInjected = errors.New("injected")

// Whichever step fails, or whoever of ours is killed at it, the caller is told, nothing is left, and the driver goes on.
func TestFaults(t *testing.T) {
	outside := newStage(t)
	removing := []Point{PointKill, PointRemoveTmp, PointRemoveGroup, PointRemoveDirectory, PointGone} // what then stays is for the next daemon
	for _, kind := range []struct {
		name  string
		fault func(*stage, string) error
		want  error
		not   []Point
	}{
		{"error", func(*stage, string) error { return errInjected }, errInjected, removing},
		{"stage-1 killed", (*stage).killStage1, nil, nil},
		{"launcher killed", (*stage).killLauncher, nil, nil},
		{"template killed", (*stage).killTemplates, nil, Points},
	} {
		for _, point := range slices.Concat(Points, TemplatePoints) {
			if slices.Contains(kind.not, point) {
				continue
			}
			t.Run(kind.name+"/"+string(point), func(t *testing.T) {
				sandboxtest.CheckLeaks(t)
				s := &stage{t: t, image: outside.image, root: outside.root, code: outside.code, state: t.TempDir()}
				var name string
				var armed atomic.Bool
				armed.Store(true)
				driver := s.open(func(p Point) error {
					if p != point || !armed.CompareAndSwap(true, false) {
						return nil
					}
					return kind.fault(s, name)
				})
				name = driver.state.name
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				box, err := s.live(ctx, driver, point)
				if kind.want != nil && !errors.Is(err, kind.want) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v, want %v", err, kind.want)
				}
				if box != nil {
					if err := box.Destroy(ctx); err != nil {
						t.Error(err)
					}
				}
				if armed.Swap(false) {
					t.Error("the step is not reached")
				}
				if _, err := s.live(ctx, driver, point); err != nil {
					t.Errorf("afterwards: %v", err)
				}
				if err := driver.Close(); err != nil {
					t.Error(err)
				}
				s.nothingLeft(name)
			})
		}
	}
}

// killStage1 kills the init of every sandbox, if there is one, and what is in there with it.
func (s *stage) killStage1(name string) error {
	for _, pid := range s.processes(name) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// killTemplates kills all that is in a control group of a template.
func (s *stage) killTemplates(name string) error {
	for _, pid := range templates(name) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// templates finds the processes of a state directory's templates.
func templates(name string) []int {
	var found []int
	groups, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, path := range groups {
		content, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(content), name+"/template.") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			found = append(found, pid)
		}
	}
	return found
}

func (s *stage) killLauncher(string) error {
	for _, pid := range childrenOfSelf() {
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.HasPrefix(string(command), "hotaru-launcher") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				return err
			}
		}
	}
	return nil
}
