//go:build linux

package userns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The roles of a process that Rerun starts, as its environment variable says.
const (
	Variable = "HOTARU_USER_NAMESPACE"
	waiting  = "waiting" // for its ids
	inside   = "inside"
)

// lifeline is the descriptor by which such a process learns first that it has its ids, and in the end that the process
// which started it has gone.
const lifeline = 3

// self is this program, whatever has become of its file.
const self = "/proc/self/exe"

// Program is how this program was started, and what it is started with again.
type Program struct {
	// Args has the program's own name at 0.
	Args, Env []string
	// Files are standard input, output and error.
	Files [3]*os.File
}

// Rerun runs this program again as root of a user namespace and a mount namespace of its own, and waits for its end. The
// namespace has the user's subordinate ids (subuid(5)), if newuidmap and newgidmap are installed and there are any;
// otherwise its root's alone. What signals receives is passed on. It answers the exit status.
func Rerun(program Program, signals <-chan os.Signal) (int, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("userns: %w", err)
	}
	defer ours.Close()
	maps, err := subordinateMaps()
	if err != nil {
		return 0, errors.Join(err, theirs.Close())
	}
	command := &exec.Cmd{
		Path: self, Args: program.Args, Stdin: program.Files[0], Stdout: program.Files[1], Stderr: program.Files[2],
		ExtraFiles: []*os.File{theirs},
	}
	// A terminal's signals go to whole groups: this process passes them on, once.
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, Setpgid: true}
	role := inside
	if maps != nil {
		role = waiting
	} else {
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	command.Env = slices.Concat(program.Env, []string{Variable + "=" + role})
	err = errors.Join(command.Start(), theirs.Close())
	if err != nil {
		return 0, fmt.Errorf("userns: a user namespace for an ordinary user: %w", err)
	}
	if maps != nil {
		if err := errors.Join(maps.write(command.Process.Pid), confirm(ours)); err != nil {
			return 0, errors.Join(err, command.Process.Kill(), ignoreExit(command.Wait()))
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = command.Process.Signal(s) // it may have ended just now
		case err := <-ended:
			return command.ProcessState.ExitCode(), ignoreExit(err)
		}
	}
}

func confirm(ours *os.File) error {
	_, err := ours.Write([]byte{1})
	return err
}

func ignoreExit(err error) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil
	}
	return err
}

// Arrive is to be called first thing in main, with the value of Variable and how the program was started. In a process that Rerun started it returns
// once that is root of its namespace, and sees to it that the process is told to end (SIGTERM) when the one that started
// it has gone. Anywhere else it does nothing.
func Arrive(role string, program Program) error {
	switch role {
	case waiting:
		line := os.NewFile(lifeline, "lifeline")
		if _, err := io.ReadFull(line, make([]byte, 1)); err != nil {
			return fmt.Errorf("userns: no ids: %w", err)
		}
		// Started without ids it has lost its privilege: as root, a program starts with all.
		env := slices.DeleteFunc(slices.Clone(program.Env), func(v string) bool { return strings.HasPrefix(v, Variable+"=") })
		return fmt.Errorf("userns: %w", syscall.Exec(self, program.Args, append(env, Variable+"="+inside)))
	case inside:
		unix.CloseOnExec(lifeline)
		line := os.NewFile(lifeline, "lifeline")
		go endWith(line)
	}
	return nil
}

// endWith ends this process when the one that holds the other end of the line has gone.
func endWith(line *os.File) {
	_, _ = io.Copy(io.Discard, line)
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
}

// idMaps are what newuidmap and newgidmap are to write.
type idMaps struct{ users, groups []string }

// subordinateMaps are those of this user; nil where the system gives none.
func subordinateMaps() (*idMaps, error) {
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); errors.Is(err, exec.ErrNotFound) {
			return nil, nil
		} else if err != nil {
			return nil, fmt.Errorf("userns: %w", err)
		}
	}
	login := ""
	if u, err := user.Current(); err == nil { // a user without a name has a number
		login = u.Username
	}
	var maps idMaps
	for _, m := range []struct {
		file string
		own  int
		into *[]string
	}{{"/etc/subuid", os.Getuid(), &maps.users}, {"/etc/subgid", os.Getgid(), &maps.groups}} {
		first, count, err := Subordinate(m.file, login, os.Getuid())
		if err != nil || count == 0 {
			return nil, err
		}
		*m.into = []string{
			"0", strconv.Itoa(m.own), "1", "1", strconv.FormatUint(uint64(first), 10), strconv.FormatUint(uint64(count), 10),
		}
	}
	return &maps, nil
}

// writeLimit bounds newuidmap and newgidmap.
const writeLimit = 10 * time.Second

// write gives the ids to a process.
func (m *idMaps) write(pid int) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeLimit)
	defer cancel()
	for tool, args := range map[string][]string{"newuidmap": m.users, "newgidmap": m.groups} {
		if out, err := exec.CommandContext(ctx, tool, append([]string{strconv.Itoa(pid)}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("userns: %s: %w: %s", tool, err, out)
		}
	}
	return nil
}
