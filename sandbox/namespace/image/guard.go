//go:build linux

package image

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// guard keeps images from taking the last room on their disk, which others need: the state store above all. It adds up
// what is free and what has been promised, writes that the kernel has accepted and not yet brought to the disk.
// When less than the reserve would be left, it makes every image say that it is full (ENOSPC, at once, on every
// write that needs room), until there is room again. So functions may together have larger disks than there is,
// as long as they do not use them, and a full disk ends no function: it has a full /tmp.
//
// How often it looks follows from how soon the reserve could be reached.
type guard struct {
	dir     string
	reserve int64
	log     *slog.Logger
	// strict is for hosts where images cannot be made full later: then all of them together fit on the disk, or
	// they are refused. Set before the first admit.
	strict bool

	mu     sync.Mutex // guards the rest
	images map[*Image]struct{}
	full   bool
	// slack is what would be left above the reserve if every image were filled, when last measured.
	slack int64

	wake    chan struct{}
	ended   chan struct{}
	routine sync.WaitGroup
}

const (
	// fastest is more bytes per second than programs can write into memory.
	fastest = 8 << 30
	// The shortest, the usual longest, and the longest wait between two looks: the latter while all images could be
	// filled, so that only others' files matter; and how long a full disk stays unlooked at.
	soon, later, muchLater, whileFull = 20 * time.Millisecond, time.Second, 10 * time.Second, 500 * time.Millisecond
)

func startGuard(config Config) (*guard, error) {
	g := &guard{
		dir: config.Dir, reserve: config.Reserve, log: config.Log, images: map[*Image]struct{}{},
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	var err error
	if g.reserve, err = Reserve(config.Dir, config.Reserve); err != nil {
		return nil, err
	}
	g.routine.Go(g.run)
	return g, nil
}

func (g *guard) stop() {
	close(g.ended)
	g.routine.Wait()
}

func (g *guard) run() {
	for {
		g.mu.Lock()
		wait := g.look()
		g.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-g.wake:
		case <-g.ended:
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// Reserve is how many bytes of dir's disk are kept free where that many are wished for: 0 wishes for the default.
func Reserve(dir string, wish int64) (int64, error) {
	if wish != 0 {
		return wish, nil
	}
	_, size, err := diskOf(dir)
	return min(DefaultReserve, size/20), err
}

// diskOf measures a disk, in bytes that anybody may still use, and all.
func diskOf(dir string) (free, size int64, err error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, 0, fmt.Errorf("image: disk of %s: %w", dir, err)
	}
	return int64(stat.Bavail) * stat.Bsize, int64(stat.Blocks) * stat.Bsize, nil
}

// admit takes an image into guard, or refuses it. A disk below half its reserve is not to hold even the few blocks
// of an empty image.
func (g *guard) admit(i *Image) error {
	free, _, err := diskOf(g.dir)
	if err != nil {
		return err
	}
	if free < g.reserve/2 {
		return ErrFull
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.strict && g.slack < i.size {
		if g.look(); g.slack < i.size {
			return ErrFull
		}
	}
	if g.full {
		if err := i.setFull(true); err != nil {
			return err
		}
	}
	g.images[i] = struct{}{}
	enough := g.slack >= 0
	if g.slack -= i.size; enough && g.slack < 0 { // it may be looking away for long
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

func (g *guard) forget(i *Image) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.images, i)
}

// look measures, acts, and says when to look again. The caller holds the lock.
func (g *guard) look() time.Duration {
	free, _, err := diskOf(g.dir)
	if err != nil {
		g.log.Error("guarding the disk", "error", err)
		return later
	}
	var owed, most int64
	for i := range g.images {
		o, m, err := i.claims()
		if err != nil {
			g.log.Error("guarding the disk", "error", err)
			continue
		}
		owed, most = owed+o, most+m
	}
	g.slack = free - most - g.reserve
	room := free - owed - g.reserve
	switch {
	case g.strict:
		return muchLater
	case room < 0 && !g.full:
		g.log.Warn("the disk is down to its reserve: every /tmp is full now", "free", free, "promised", owed, "reserve", g.reserve)
		g.setFull(true)
	case g.full && room >= g.reserve/8: // some way above, so as not to go to and fro
		g.log.Info("the disk has room again", "free", free, "promised", owed, "reserve", g.reserve)
		g.setFull(false)
	}
	switch {
	case g.full:
		return whileFull
	case g.slack >= 0:
		return muchLater
	}
	return min(max(time.Duration(room/(fastest/int64(time.Second/time.Microsecond)))*time.Microsecond, soon), later)
}

func (g *guard) setFull(full bool) {
	g.full = full
	var failures []error
	for i := range g.images {
		failures = append(failures, i.setFull(full))
	}
	if err := errors.Join(failures...); err != nil {
		g.log.Error("guarding the disk", "full", full, "error", err)
	}
}

// claims says how many bytes of the disk the image will take for what it has accepted already, and how many it can
// take at most, both beyond what it has.
func (i *Image) claims() (owed, most int64, err error) {
	var inside unix.Statfs_t
	if err := unix.Fstatfs(int(i.root.Fd()), &inside); err != nil {
		return 0, 0, fmt.Errorf("image: statfs: %w", err)
	}
	var file unix.Stat_t
	if err := unix.Fstat(int(i.file.Fd()), &file); err != nil {
		return 0, 0, fmt.Errorf("image: stat: %w", err)
	}
	has := file.Blocks * 512
	used := int64(inside.Blocks-inside.Bfree)*blockSize + int64(inside.Files-inside.Ffree)*inodeSize
	return max(used-has, 0), max(i.size-has, 0), nil
}
