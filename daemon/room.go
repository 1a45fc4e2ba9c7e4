package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"hotaru/pool"
)

// Room is for how many execution environments a machine has enough of something.
type Room struct {
	// Of is what: "open-files", "processes" or "memory".
	Of string
	// Environments of a usual Python function have room; those of Node.js have more threads.
	Environments int
	// Why says what there is and what each takes, Mend how to get more.
	Why, Mend string
}

// What an environment takes, seen with a thousand idle ones of Python (docs/concurrency.md), and what the daemon itself
// does, its clients' connections included.
const (
	filesOfOne, filesOfDaemon = 15, 1500
	processesOfOne            = 9
	memoryOfOne               = 14 << 20
)

// Rooms says for how many environments this machine has room, as a daemon with the configuration would find it. What
// cannot be read is left out.
func Rooms(config Config) []Room { return roomsIn("/", config.MemoryBudget, openFiles()) }

// openFiles is how many descriptors this process may have at most, 0 if that is not known.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Max
}

// roomsIn is Rooms of a machine whose files are below root.
func roomsIn(root string, memoryBudget int64, files uint64) []Room {
	var rooms []Room
	if files > 0 {
		rooms = append(rooms, Room{
			Of: "open-files", Environments: int(max(int64(files)-filesOfDaemon, 0) / filesOfOne),
			Why:  fmt.Sprintf("a process may have %d, an environment takes some %d", files, filesOfOne),
			Mend: "raise the hard limit: LimitNOFILE=1048576 in a systemd unit, ulimit -Hn in a shell",
		})
	}
	processes := min(kernelNumber(root, "pid_max"), kernelNumber(root, "threads-max")) / 4 * 3 // as cgroup.Parent bounds them
	if processes > 0 {
		rooms = append(rooms, Room{
			Of: "processes", Environments: int(processes / processesOfOne),
			Why:  fmt.Sprintf("all environments may have %d processes and threads, one of Python takes some %d", processes, processesOfOne),
			Mend: "sysctl kernel.pid_max=4194304 kernel.threads-max=1000000",
		})
	}
	if budget := pool.NewBudget(memoryBudget, pool.Machine{Root: root}.Available).Limit(); budget > 0 {
		rooms = append(rooms, Room{
			Of: "memory", Environments: int(budget / memoryOfOne),
			Why:  fmt.Sprintf("all environments may have %d MiB, one of Python takes some %d, idle", budget>>20, memoryOfOne>>20),
			Mend: "more memory, or a larger --memory-budget where others need less of it",
		})
	}
	return rooms
}

// kernelNumber reads a file of /proc/sys/kernel; 0 is what cannot be read.
func kernelNumber(root, name string) int64 {
	content, err := os.ReadFile(filepath.Join(root, "proc/sys/kernel", name))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
