//go:build linux && (amd64 || arm64)

package namespace

import (
	"errors"
	"hash/fnv"

	"hotaru/sandbox/namespace/userns"
)

// The user inside, as on Lambda: sbx_user1051.
const (
	insideUID = 993
	insideGID = 990
)

// Each sandbox has two user ids of the host that belong to nobody else: stage-1's and the user's. They come
// from 0x70000000 on, where no distribution, directory service or container tool hands out any. Every state
// directory has a block of its own there, so that two daemons on one machine do not share users either.
const (
	firstUID  = 0x70000000
	blocks    = 1 << 14
	perBlock  = 1 << 13 // sandboxes
	idsOfEach = 2
	// rootlessBlocks is how many daemons of one user share the ids of that user's.
	rootlessBlocks = 8
)

// numbers hands out the numbers of sandboxes, from which their users follow. A number that was given back
// is taken again first, so nothing may be left of its last owner by then.
type numbers struct {
	base uint32
	most int
	// alone says that there are no users but root to give: every sandbox's are that one.
	alone bool
	free  []int // given back
	next  int   // never taken yet
}

func newNumbers(name string, ids userns.IDs) numbers {
	hash := fnv.New32a()
	hash.Write([]byte(name))
	switch {
	case !ids.Rootless:
		return numbers{base: firstUID + hash.Sum32()%blocks*perBlock*idsOfEach, most: perBlock}
	case ids.Count < idsOfEach:
		return numbers{most: perBlock, alone: true}
	}
	// Of a user's few ids a daemon takes one of so many parts.
	most := max(min(ids.Count/idsOfEach/rootlessBlocks, perBlock), 1)
	parts := max(ids.Count/idsOfEach/most, 1)
	return numbers{base: ids.First + hash.Sum32()%parts*most*idsOfEach, most: int(most)}
}

func (n *numbers) take() (int, error) {
	if last := len(n.free) - 1; last >= 0 {
		number := n.free[last]
		n.free = n.free[:last]
		return number, nil
	}
	if n.next == n.most {
		return 0, errors.New("sandbox: no user is free for another sandbox")
	}
	n.next++
	return n.next - 1, nil
}

func (n *numbers) give(number int) { n.free = append(n.free, number) }

// initID is the host's id of stage-1, userID that of the user inside.
func (n *numbers) initID(number int) int {
	if n.alone {
		return 0
	}
	return int(n.base) + number*idsOfEach
}

func (n *numbers) userID(number int) int {
	if n.alone {
		return 0
	}
	return n.initID(number) + 1
}
