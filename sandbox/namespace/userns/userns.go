//go:build linux

// Package userns gives an ordinary user a user namespace, in which the daemon is root and may do to its own sandboxes
// what takes root elsewhere: mounts, network namespaces, users of their own. It must not know sandboxes.
package userns

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Entry is a line of uid_map or gid_map (user_namespaces(7)): Count ids from Inside on are those from Outside on of
// the namespace around.
type Entry struct{ Inside, Outside, Count uint32 }

// everything is the map of the namespace that all others are in.
var everything = Entry{0, 0, 1<<32 - 1}

// IDs are the user and group ids that this process can give to others.
type IDs struct {
	// Rootless says that this is a user namespace with less than all ids.
	Rootless bool
	// First and Count are a range of ids, above 0, that are both users and groups here. Count is 0 where there are
	// none besides root's own. Both are 0 where all ids are there.
	First, Count uint32
}

// Own reads this process's.
func Own() (IDs, error) {
	users, err := readMap("/proc/self/uid_map")
	if err != nil {
		return IDs{}, err
	}
	groups, err := readMap("/proc/self/gid_map")
	if err != nil {
		return IDs{}, err
	}
	return fromMaps(users, groups), nil
}

func fromMaps(users, groups []Entry) IDs {
	if len(users) == 1 && users[0] == everything && len(groups) == 1 && groups[0] == everything {
		return IDs{}
	}
	ids := IDs{Rootless: true}
	for _, u := range users {
		for _, g := range groups {
			first := uint64(max(u.Inside, g.Inside, 1))
			end := min(uint64(u.Inside)+uint64(u.Count), uint64(g.Inside)+uint64(g.Count))
			if end > first+uint64(ids.Count) {
				ids.First, ids.Count = uint32(first), uint32(end-first)
			}
		}
	}
	return ids
}

func readMap(path string) ([]Entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("userns: %w", err)
	}
	defer file.Close()
	var entries []Entry
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var e Entry
		if _, err := fmt.Sscan(lines.Text(), &e.Inside, &e.Outside, &e.Count); err != nil {
			return nil, fmt.Errorf("userns: %s: %w", path, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Subordinate finds the first range of ids that a file of subuid(5)'s form gives to a user, named by login or number.
// A missing file gives none.
func Subordinate(path, login string, id int) (first, count uint32, err error) {
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("userns: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) != 3 || fields[0] != strconv.Itoa(id) && (login == "" || fields[0] != login) {
			continue
		}
		start, err1 := strconv.ParseUint(fields[1], 10, 32)
		size, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err1 == nil && err2 == nil && size > 0 {
			return uint32(start), uint32(size), nil
		}
	}
	return 0, 0, nil
}
