// Command helper is what package sandboxtest runs inside sandboxes: small things that a shell cannot do, or not
// surely. It prints its answer and ends with the code that the test expects.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fail("what to do?")
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "exit":
		os.Exit(number(args[0]))
	case "env":
		for _, pair := range os.Environ() {
			fmt.Println(pair)
		}
	case "pwd":
		dir, err := os.Getwd()
		check(err)
		fmt.Println(dir)
	case "echo": // file descriptor 3 to file descriptor 4
		_, err := io.Copy(os.NewFile(4, "out"), os.NewFile(3, "in"))
		check(err)
	case "sleep": // until it is killed
		fmt.Println("ready")
		forever()
	case "term": // until SIGTERM, then 42
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, syscall.SIGTERM)
		fmt.Println("ready")
		<-caught
		os.Exit(42)
	case "tick": // a line per millisecond
		for {
			fmt.Println(time.Now().UnixNano())
			time.Sleep(time.Millisecond)
		}
	case "spin": // for so many milliseconds of wall time
		for end := time.Now().Add(time.Duration(number(args[0])) * time.Millisecond); time.Now().Before(end); {
		}
	case "cat":
		content, err := os.ReadFile(args[0])
		check(err)
		os.Stdout.Write(content)
	case "wait-cat": // once a line came in on descriptor 3
		_, err := bufio.NewReader(os.NewFile(3, "go")).ReadString('\n')
		check(err)
		content, err := os.ReadFile(args[0])
		check(err)
		os.Stdout.Write(content)
	case "write":
		check(os.WriteFile(args[0], []byte("written"), 0o600))
	case "dial", "serve", "send", "exchange":
		network(os.Args[1], args)
	case "fork": // so many children that never end
		forkBomb(number(args[0]))
	case "eat": // so many megabytes
		eat(number(args[0]))
	case "nofile":
		var limit syscall.Rlimit
		check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
		fmt.Println(limit.Max)
	case "no-new-privs":
		const getNoNewPrivs = 39 // of linux/prctl.h
		set, _, errno := syscall.Syscall6(syscall.SYS_PRCTL, getNoNewPrivs, 0, 0, 0, 0, 0)
		if errno != 0 {
			fail(errno.Error())
		}
		fmt.Println(set)
	case "orphan": // leaves a child behind that never ends
		start("sleep")
	default:
		if !disk(os.Args[1], args) {
			fail("cannot " + os.Args[1])
		}
	}
}

// network does what needs sockets.
func network(what string, args []string) {
	switch what {
	case "dial": // prints what the server says
		conn, err := net.DialTimeout("tcp", args[0], 2*time.Second)
		check(err)
		_, err = io.Copy(os.Stdout, conn)
		check(err)
	case "exchange": // so many bytes with a server that echoes
		conn, err := net.DialTimeout("tcp", args[0], 10*time.Second)
		check(err)
		size := int64(number(args[1]))
		go func() { _, _ = conn.Write(make([]byte, size)) }()
		_, err = io.CopyN(io.Discard, conn, size)
		check(err)
	case "serve": // prints where, and echoes
		listener, err := net.Listen("tcp", args[0])
		check(err)
		fmt.Println(listener.Addr())
		for {
			conn, err := listener.Accept()
			check(err)
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	case "send": // prints what the server answers to a datagram
		conn, err := net.DialTimeout("udp", args[0], 2*time.Second)
		check(err)
		check(conn.SetDeadline(time.Now().Add(10 * time.Second)))
		_, err = conn.Write([]byte(args[1]))
		check(err)
		packet := make([]byte, 512)
		n, err := conn.Read(packet)
		check(err)
		os.Stdout.Write(packet[:n])
	}
}

// forkBomb starts children until it cannot, says how many it has, and stays.
func forkBomb(most int) {
	count := 0
	for count < most {
		if _, err := os.StartProcess("/proc/self/exe", []string{"helper", "sleep"}, &os.ProcAttr{Files: []*os.File{nil, nil, nil}}); err != nil {
			break
		}
		count++
	}
	fmt.Println(count)
	forever()
}

// forever waits without Go's runtime finding out that nothing can ever happen.
func forever() {
	for {
		_ = syscall.Pause()
	}
}

func start(what string) {
	_, err := os.StartProcess("/proc/self/exe", []string{"helper", what}, &os.ProcAttr{Files: []*os.File{nil, nil, nil}})
	check(err)
}

// eat touches memory, says so, and stays.
func eat(megabytes int) {
	var held [][]byte
	for range megabytes {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		held = append(held, block)
	}
	fmt.Println("ate", len(held))
	forever()
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	check(err)
	return n
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(99)
}
