package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// disk does what goes to a disk, if that is asked.
func disk(what string, args []string) bool {
	switch what {
	case "fill": // a file with so many megabytes: says how many there were, and why not all
		written, err := fill(args[0], number(args[1]))
		fmt.Println(strings.TrimSpace(fmt.Sprint(written, " ", errno(err))))
	case "write-out": // a file with so many megabytes, to the disk: says how many milliseconds that took
		began := time.Now()
		_, err := fill(args[0], number(args[1]))
		check(err)
		file, err := os.Open(args[0])
		check(err)
		check(file.Sync())
		fmt.Println(time.Since(began).Milliseconds())
	case "read-in": // the same from the disk, not from the page cache
		file, err := os.Open(args[0])
		check(err)
		check(unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED))
		began := time.Now()
		_, err = io.Copy(io.Discard, file)
		check(err)
		fmt.Println(time.Since(began).Milliseconds())
	default:
		return false
	}
	return true
}

// fill writes so many megabytes into a file and says how many it could.
func fill(path string, megabytes int) (int, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	block := make([]byte, 1<<20)
	for n := range megabytes {
		if _, err := file.Write(block); err != nil {
			return n, err
		}
	}
	return megabytes, nil
}

// errno is the bare reason of an error.
func errno(err error) string {
	var reason syscall.Errno
	if errors.As(err, &reason) {
		return reason.Error()
	}
	return ""
}
