//go:build linux && (amd64 || arm64)

package namespace

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/userns"
	"hotaru/sandbox/namespace/wire"
)

// conversation is a control whose stage-1 is the test.
type conversation struct {
	*control
	theirs *os.File
	ended  chan error // what read returned
	exits  chan uint64
}

func converse(t *testing.T) *conversation {
	t.Helper()
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	c := &conversation{theirs: theirs, ended: make(chan error, 1), exits: make(chan uint64, 16)}
	c.control = &control{conn: ours, waiting: map[uint64]chan reply{}, exit: func(id uint64, _ uint32) bool {
		c.exits <- id
		return id == 7
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.ended <- c.read()
	}()
	t.Cleanup(func() {
		theirs.Close()
		ours.Close()
		<-done
	})
	return c
}

func (c *conversation) say(t *testing.T, message []byte, files ...*os.File) {
	t.Helper()
	var oob []byte
	for _, file := range files {
		oob = append(oob, unix.UnixRights(int(file.Fd()))...)
	}
	if err := unix.Sendmsg(int(c.theirs.Fd()), message, oob, nil, 0); err != nil {
		t.Fatal(err)
	}
}

func (c *conversation) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("the conversation goes on")
		return nil
	}
}

// Whatever is no answer ends the sandbox; the daemon neither panics nor keeps a descriptor.
func TestHostileStage1(t *testing.T) {
	for name, message := range map[string][]byte{
		"nonsense":             []byte("GET / HTTP/1.1\r\n\r\n"),
		"another version":      {2, byte(wire.TypeExit), 7, 0},
		"a request":            (&wire.Start{Path: "/bin/sh"}).Encode(1),
		"a reply to nothing":   (&wire.Reply{}).Encode(99),
		"the exit of nobody":   (&wire.Exit{}).Encode(8),
		"a byte too many":      append((&wire.Exit{}).Encode(7), 0),
		"a byte too few":       (&wire.Exit{}).Encode(7)[:3],
		"an impossible errno":  {wire.Version, byte(wire.TypeReply), 1, 0xff, 0xff, 0x7f, 0},
		"more than may be":     make([]byte, wire.MaxReply+1),
		"far more than may be": make([]byte, 100<<10),
		"a long story":         (&wire.Reply{Errno: 1, Stage: strings.Repeat("x", wire.MaxReply)}).Encode(1),
	} {
		t.Run(name, func(t *testing.T) {
			c := converse(t)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			c.say(t, message, w)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := c.end(t); err == nil {
				t.Error("it is taken")
			}
			// The other end of the pipe is closed on our side too: the read sees the end.
			if err := r.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if n, err := r.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a descriptor is kept: %d, %v", n, err)
			}
			if _, err := c.call(t.Context(), 1, (&wire.Reset{}).Encode(1), nil); !errors.Is(err, sandbox.ErrEnded) {
				t.Errorf("a later call: %v, want %v", err, sandbox.ErrEnded)
			}
		})
	}
}

// More descriptors than a sandbox can have listeners are cut off by the kernel, and that ends the sandbox.
func TestTooManyDescriptors(t *testing.T) {
	c := converse(t)
	fds := make([]int, sandbox.MaxListen+1)
	for i := range fds {
		fds[i] = int(c.theirs.Fd())
	}
	if err := unix.Sendmsg(int(c.theirs.Fd()), (&wire.Exit{}).Encode(7), unix.UnixRights(fds...), nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := c.end(t); err == nil {
		t.Error("they are taken")
	}
}

// Who waits for an answer when stage-1 dies is told, and so is who asks later.
func TestStage1Dies(t *testing.T) {
	c := converse(t)
	answered := make(chan error)
	go func() {
		_, err := c.call(t.Context(), 1, (&wire.Reset{}).Encode(1), nil)
		answered <- err
	}()
	if n, err := unix.Read(int(c.theirs.Fd()), make([]byte, 64)); err != nil || n == 0 {
		t.Fatal(n, err)
	}
	if err := c.theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; !errors.Is(err, sandbox.ErrEnded) {
		t.Errorf("%v, want %v", err, sandbox.ErrEnded)
	}
	if err := c.end(t); err != nil {
		t.Errorf("an ordinary end is %v", err)
	}
}

// Sockets that are not what was asked for are refused.
func TestTakeSockets(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	packets, err := conn.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer other.Close()
	stream, datagram := listener.Addr().String(), conn.LocalAddr().String()
	for name, c := range map[string]struct {
		streams, packets []string
		files            []*os.File
		want             bool
	}{
		"too few":             {[]string{stream}, nil, nil, false},
		"too few packets":     {[]string{stream}, []string{datagram}, []*os.File{file}, false},
		"too many":            {nil, nil, []*os.File{file}, false},
		"another address":     {[]string{"127.0.0.1:9001"}, nil, []*os.File{file}, false},
		"other packets":       {nil, []string{"127.0.0.1:9001"}, []*os.File{packets}, false},
		"no socket":           {[]string{stream}, nil, []*os.File{pipe}, false},
		"packets for streams": {[]string{datagram}, nil, []*os.File{packets}, false},
		"streams for packets": {nil, []string{stream}, []*os.File{file}, false},
		"in another order":    {[]string{stream}, []string{datagram}, []*os.File{packets, file}, false},
		"what was asked for":  {[]string{stream}, []string{datagram}, []*os.File{file, packets}, true},
	} {
		b := &box{Sockets: sandbox.NewSockets()}
		err := b.takeSockets(&sandbox.Spec{Listen: c.streams, ListenPacket: c.packets}, c.files)
		if (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		b.CloseSockets()
	}
}

// Nobody can change stage-1's program, root included.
func TestSealed(t *testing.T) {
	file, err := seal([]byte("program"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	path := "/proc/self/fd/" + strconv.Itoa(int(file.Fd()))
	if again, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
		if _, err := again.WriteString("x"); !errors.Is(err, unix.EPERM) {
			t.Errorf("write: %v, want EPERM", err)
		}
		if err := again.Truncate(0); !errors.Is(err, unix.EPERM) {
			t.Errorf("truncate: %v, want EPERM", err)
		}
		if _, err := unix.Mmap(int(again.Fd()), 0, 7, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); !errors.Is(err, unix.EPERM) {
			t.Errorf("map: %v, want EPERM", err)
		}
		again.Close()
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "program" {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := file.WriteString("x"); err == nil {
		t.Error("our own descriptor writes")
	}
}

func TestNumbers(t *testing.T) {
	n := newNumbers("hotaru-test", userns.IDs{})
	seen := map[int]bool{}
	for range perBlock {
		number, err := n.take()
		if err != nil || seen[number] {
			t.Fatalf("%d again, or %v", number, err)
		}
		seen[number] = true
		if id := n.initID(number); id < firstUID || n.userID(number) != id+1 || n.userID(number) > 0x7fffffff {
			t.Fatalf("number %d has the users %d and %d", number, id, n.userID(number))
		}
	}
	if number, err := n.take(); err == nil {
		t.Errorf("%d is one too many", number)
	}
	n.give(17)
	if number, err := n.take(); err != nil || number != 17 {
		t.Errorf("%d, %v: 17 was given back", number, err)
	}
}

// Descriptors that this process has no room for fail one request. To blame stage-1 would end the sandbox, and all of them
// where the launcher is blamed.
func TestNoRoomForDescriptors(t *testing.T) {
	c := converse(t)
	failed := make(chan error)
	go func() {
		_, err := c.call(t.Context(), 1, (&wire.Reset{}).Encode(1), nil)
		failed <- err
	}()
	if n, err := unix.Read(int(c.theirs.Fd()), make([]byte, 64)); err != nil || n == 0 {
		t.Fatal(n, err)
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	lowest, err := unix.Dup(0) // the lowest that is free
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(lowest)
	none := unix.Rlimit{Cur: uint64(lowest), Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	err = unix.Sendmsg(int(c.theirs.Fd()), (&wire.Reply{}).Encode(1), unix.UnixRights(0, 1), nil, 0)
	got := <-failed
	if err := errors.Join(err, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(got, unix.EMFILE) {
		t.Errorf("%v, want %v", got, unix.EMFILE)
	}
	c.say(t, (&wire.Exit{}).Encode(7)) // the conversation goes on
	if id := <-c.exits; id != 7 {
		t.Errorf("the exit of %d", id)
	}
}
