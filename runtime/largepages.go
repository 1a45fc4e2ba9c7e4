package runtime

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	largePage = 2 << 20
	// largeProgram is the size of a file from which on large pages are worth it, in bytes: Node.js has some 100 MB of them.
	largeProgram = 32 << 20
)

// loadLarge has the kernel keep a large program's file in pages of 2 MiB, with which each of its processes starts with 400
// page faults less, and ends faster. They stay for as long as the file is in the page cache. It does nothing where the
// kernel or the file system has no such pages for files.
func loadLarge(program string) error {
	file, err := os.Open(program)
	if err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	pages := uintptr(info.Size()) / largePage
	if info.Size() < largeProgram {
		return nil
	}
	large, err := populate(file, pages)
	if err != nil || large == pages {
		return err
	}
	// Pages that came in one by one stay so: they must go first. What one page of them does tells what the others would.
	if err := forget(file, 1); err != nil {
		return err
	}
	if large, err = populate(file, 1); err != nil || large == 0 {
		return err
	}
	if err := forget(file, pages); err != nil {
		return err
	}
	_, err = populate(file, pages)
	return err
}

// forget drops the first pages of a file from the page cache, but for those that somebody uses.
func forget(file *os.File, pages uintptr) error {
	if err := unix.Fadvise(int(file.Fd()), 0, int64(pages*largePage), unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("runtime: forget %s: %w", file.Name(), err)
	}
	return nil
}

// populate reads the first pages of a file into the page cache, and says how many of them are large there.
func populate(file *os.File, pages uintptr) (large uintptr, err error) {
	// What is mapped at a multiple of its size can be large.
	length := pages * largePage
	room, err := unix.MmapPtr(-1, 0, nil, length+largePage, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return 0, fmt.Errorf("runtime: %w", err)
	}
	defer func() {
		if failed := unix.MunmapPtr(room, length+largePage); failed != nil && err == nil {
			err = fmt.Errorf("runtime: %w", failed)
		}
	}()
	at := unsafe.Add(room, (largePage-uintptr(room)%largePage)%largePage)
	// Some kernels have large pages only for what may be executed.
	if _, err := unix.MmapPtr(int(file.Fd()), 0, at, length, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_FIXED); err != nil {
		return 0, fmt.Errorf("runtime: map %s: %w", file.Name(), err)
	}
	mapped := unsafe.Slice((*byte)(at), length)
	// Nothing is read through the mapping: of a file that somebody cuts off that would be the end of this process.
	for _, advice := range []int{unix.MADV_HUGEPAGE, unix.MADV_POPULATE_READ} {
		if err := unix.Madvise(mapped, advice); err != nil {
			return 0, fmt.Errorf("runtime: load %s: %w", file.Name(), err)
		}
	}
	if large, err = largeAt(uintptr(at)); err != nil || large == pages {
		return large, err
	}
	// Most kernels refuse this for files, which leaves them as they are.
	if unix.Madvise(mapped, unix.MADV_COLLAPSE) == nil {
		return largeAt(uintptr(at))
	}
	return large, nil
}

// largeAt says how many large pages of a file are mapped where a mapping begins.
func largeAt(address uintptr) (uintptr, error) {
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return 0, fmt.Errorf("runtime: %w", err)
	}
	defer smaps.Close()
	begin, within := fmt.Sprintf("%x-", address), false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		if !within {
			within = strings.HasPrefix(lines.Text(), begin)
			continue
		}
		var kilobytes uintptr
		if _, err := fmt.Sscanf(lines.Text(), "FilePmdMapped: %d kB", &kilobytes); err == nil {
			return kilobytes << 10 / largePage, nil
		}
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("runtime: %w", err)
	}
	return 0, nil
}
