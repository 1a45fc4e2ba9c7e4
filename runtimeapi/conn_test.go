//go:build linux

package runtimeapi

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// pair returns a conversation's ends.
func pair(t *testing.T) (*Conn, *os.File) {
	t.Helper()
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = ours.Close()
		_ = theirs.Close()
	})
	return ours, theirs
}

// long is more than a socket takes at once.
func long() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 1<<18) }

func TestConnWaitsToWrite(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t)
	written := make(chan error, 1)
	go func() {
		_, err := ours.WriteBoth([]byte("head"), long())
		written <- errors.Join(err, ours.Close())
	}()
	got, err := io.ReadAll(theirs)
	if err = errors.Join(err, <-written); err != nil || !bytes.Equal(got, append([]byte("head"), long()...)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestConnWaitingWriteEnds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		end  func(*Conn, *os.File) error
		want error
	}{
		"by a deadline": {func(c *Conn, _ *os.File) error { return c.SetDeadline(longAgo) }, os.ErrDeadlineExceeded},
		"by Close":      {func(c *Conn, _ *os.File) error { return c.Close() }, net.ErrClosed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := pair(t)
			written := make(chan error, 1)
			go func() {
				_, err := ours.Write(long())
				written <- err
			}()
			if _, err := io.ReadFull(theirs, make([]byte, 1)); err != nil { // it has begun
				t.Fatal(err)
			}
			if err := test.end(ours, theirs); err != nil {
				t.Fatal(err)
			}
			if err := <-written; !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if _, err := ours.Write(long()); !errors.Is(err, test.want) {
				t.Errorf("afterwards: %v, want %v", err, test.want)
			}
		})
	}
}

// A child of the runtime may hold its end open for ever: what was said is read, and then the reading ends.
func TestConnCloseRead(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t)
	if _, err := theirs.WriteString("last words"); err != nil {
		t.Fatal(err)
	}
	if err := ours.CloseRead(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(ours); string(got) != "last words" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ours.CloseRead(); err == nil {
		t.Error("a closed connection was closed for reading")
	}
	if err := ours.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// Whoever waits for the other end learns that it has been closed.
func TestConnEnd(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t)
	if err := ours.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := ours.Read(make([]byte, 1))
		ended <- err
	}()
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if _, err := ours.Write([]byte("x")); err == nil {
		t.Error("wrote to nobody")
	}
}
