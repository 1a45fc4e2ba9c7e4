//go:build linux

package userns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

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

// Rerun runs this program again, with the same arguments and standard files, as root of a user namespace and a mount
// namespace of its own, and waits for its end. The namespace has the user's subordinate ids (subuid(5)), if newuidmap and
// newgidmap are installed and there are any; otherwise its root's alone. environ are the new process's variables.
// What signals receives is passed on to it. It answers the exit status.
func Rerun(environ []string, signals <-chan os.Signal) (int, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("userns: %w", err)
	}
	defer ours.Close()
	maps, err := subordinateMaps()
	if err != nil {
		return 0, errors.Join(err, theirs.Close())
	}
	command := exec.Command("/proc/self/exe", os.Args[1:]...)
	command.Args[0] = os.Args[0]
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.ExtraFiles = []*os.File{theirs}
	// A terminal's signals go to whole groups: this process passes them on, once.
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, Setpgid: true}
	role := inside
	if maps != nil {
		role = waiting
	} else {
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	command.Env = append(environ, Variable+"="+role)
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

// Arrive is to be called first thing in main with the value of Variable. In a process that Rerun started it returns
// once that is root of its namespace, and sees to it that the process is told to end (SIGTERM) when the one that started
// it has gone. Anywhere else it does nothing.
func Arrive(role string) error {
	switch role {
	case waiting:
		line := os.NewFile(lifeline, "lifeline")
		if _, err := io.ReadFull(line, make([]byte, 1)); err != nil {
			return fmt.Errorf("userns: no ids: %w", err)
		}
		if err := os.Setenv(Variable, inside); err != nil {
			return fmt.Errorf("userns: %w", err)
		}
		// Started without ids it has lost its privilege: as root, a program starts with all.
		return fmt.Errorf("userns: %w", syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
	case inside:
		unix.CloseOnExec(lifeline)
		line := os.NewFile(lifeline, "lifeline")
		go func() {
			_, _ = io.Copy(io.Discard, line) // ends with whoever holds the other end
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		}()
		return os.Unsetenv(Variable)
	}
	return nil
}

// idMaps are what newuidmap and newgidmap are to write.
type idMaps struct{ users, groups []string }

// subordinateMaps are those of this user; nil where the system gives none.
func subordinateMaps() (*idMaps, error) {
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, nil
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

// write gives the ids to a process.
func (m *idMaps) write(pid int) error {
	for tool, args := range map[string][]string{"newuidmap": m.users, "newgidmap": m.groups} {
		if out, err := exec.Command(tool, append([]string{strconv.Itoa(pid)}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("userns: %s: %w: %s", tool, err, out)
		}
	}
	return nil
}
