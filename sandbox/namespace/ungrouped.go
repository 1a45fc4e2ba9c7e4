//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"hotaru/sandbox/namespace/cgroup"
	"hotaru/sandbox/namespace/wire"
)

// What control groups do elsewhere, for an ordinary user to whom the system has delegated none.

// setFrozen freezes or thaws: through the control group where it can, else by stopping the processes, which they
// themselves can see, but not prevent.
func (b *box) setFrozen(ctx context.Context, frozen bool) error {
	var err error
	_, _, _, byGroup := b.driver.cgroups.Enforces()
	switch {
	case byGroup && frozen:
		err = b.group.Freeze(ctx)
	case byGroup:
		err = b.group.Thaw()
	case b.inside != nil:
		m := wire.Stop{GoOn: !frozen}
		id := b.inside.control.newID()
		_, err = b.ask(ctx, id, m.Encode(id), nil)
	}
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	b.frozen = frozen
	return nil
}

// countProcesses fills in what no control group counts, from the processes themselves. Those that end meanwhile do not
// count.
func (d *Driver) countProcesses(u *cgroup.Usage, in *inside) {
	memory, _, pids, _ := d.cgroups.Enforces()
	if memory && pids || in == nil {
		return
	}
	var bytes, threads int64
	for _, pid := range descendants(pidOf(in.pidfd)) {
		status := procStatus(pid)
		bytes += (status["RssAnon"] + status["RssShmem"]) << 10
		threads += status["Threads"]
	}
	if !memory {
		u.MemoryBytes = bytes
	}
	if !pids {
		u.PIDs = threads
	}
}

// pidOf is the process of a pidfd, 0 once that has ended.
func pidOf(pidfd *os.File) int {
	content, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(rawFD(pidfd)))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		if value, found := strings.CutPrefix(line, "Pid:"); found {
			pid, _ := strconv.Atoi(strings.TrimSpace(value)) // -1 once it has ended
			return max(pid, 0)
		}
	}
	return 0
}

// descendants are a process and all below it (proc_pid_task(5), children).
func descendants(pid int) []int {
	if pid == 0 {
		return nil
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		tasks, _ := os.ReadDir("/proc/" + strconv.Itoa(all[i]) + "/task") // none once it has ended
		for _, task := range tasks {
			children, _ := os.ReadFile("/proc/" + strconv.Itoa(all[i]) + "/task/" + task.Name() + "/children")
			for _, field := range strings.Fields(string(children)) {
				if child, err := strconv.Atoi(field); err == nil {
					all = append(all, child)
				}
			}
		}
	}
	return all
}

// procStatus are the numbers of proc_pid_status(5), sizes in kilobytes.
func procStatus(pid int) map[string]int64 {
	content, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status") // nothing once it has ended
	numbers := map[string]int64{}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(line, ":")
		if n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
			numbers[name] = n
		}
	}
	return numbers
}
