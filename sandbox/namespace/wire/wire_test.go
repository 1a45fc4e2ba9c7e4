package wire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// fields are what every message has besides its header.
type fields interface {
	Encode(id uint64) []byte
	Decode(fields []byte) error
}

// examples has one of each, with every field set.
func examples() map[Type]fields {
	return map[Type]fields{
		TypeSetup: &Setup{
			Hostname: "h", Mounts: []string{"/usr", "/tmp"}, Listen: []Address{{IP: "\x7f\x00\x00\x01", Port: 9001}, {IP: "\x7f\x00\x00\x01", Port: 53, Packet: true}},
			Limits: []Limit{{Resource: 7, Most: 1024}}, UID: 993, GID: 990, Confine: EncodeSteps(someSteps()), Landlock: true, Housed: true,
		},
		TypeStart: &Start{
			Path: "/bin/sh", Dir: "/", Args: []string{"sh", ""}, Env: []string{"A=b"}, HasStdout: true, HasStderr: true, FilesCount: 2,
		},
		TypeSignal: &Signal{Number: 15},
		TypeAttach: &Attach{Mounts: []string{"/var/task"}},
		TypeReset:  &Reset{},
		TypeLaunch: &Launch{InitID: 0x70000000, UserID: 0x70000001, UID: 993, GID: 990, HasCgroup: true, Groups: 3, Template: true},
		TypeSocket: &Socket{V6: true},
		TypeTemplate: &Template{
			Mounts: []string{"/usr"}, Path: "/usr/bin/python3", Dir: "/", Args: []string{"python3"}, Env: []string{"A=b"}, Confine: someSteps(),
		},
		TypeFork: &Fork{
			HasCgroup: true, HasStdout: true, HasStderr: true, FilesCount: 1, Dir: "/var/task", Enter: someSteps(), Become: someSteps(),
		},
		TypeStop:    &Stop{GoOn: true},
		TypeRuleset: &Ruleset{},
		TypeAdopt:   &Adopt{PID: 7},
		TypeForked:  &Forked{PID: 7, Errno: 1, Stage: "seccomp"},
		TypeReply:   &Reply{Errno: 2, Stage: "exec"},
		TypeExit:    &Exit{WaitStatus: 256},
	}
}

func someSteps() []Step {
	return []Step{
		{Name: "one", Call: 157, Args: []Arg{Number(1 << 40), Descriptor(3), Data([]byte{1, 2}), Program(make([]byte, 16))}, Tolerate: []uint32{22}},
		{Name: "two", Call: 105},
	}
}

func empty(kind Type) fields {
	return map[Type]fields{
		TypeSetup: &Setup{}, TypeStart: &Start{}, TypeSignal: &Signal{}, TypeAttach: &Attach{}, TypeReset: &Reset{},
		TypeLaunch: &Launch{}, TypeSocket: &Socket{}, TypeTemplate: &Template{}, TypeFork: &Fork{}, TypeRuleset: &Ruleset{},
		TypeAdopt: &Adopt{}, TypeForked: &Forked{}, TypeReply: &Reply{}, TypeExit: &Exit{}, TypeStop: &Stop{},
	}[kind]
}

func TestOpenRefuses(t *testing.T) {
	good := (&Signal{Number: 9}).Encode(7)
	for _, c := range []struct {
		name    string
		message []byte
		want    error
	}{
		{"nothing", nil, ErrShort},
		{"version alone", []byte{Version}, ErrShort},
		{"no id", []byte{Version, byte(TypeReset)}, ErrShort},
		{"version 0", append([]byte{0}, good[1:]...), ErrVersion},
		{"version 2", append([]byte{2}, good[1:]...), ErrVersion},
		{"type 0", []byte{Version, 0, 1}, ErrType},
		{"the type after the last", []byte{Version, byte(TypeExit) + 1, 1}, ErrType},
		{"id in a longer form", []byte{Version, byte(TypeReset), 0x81, 0x00}, ErrNumber},
		{"id beyond 64 bits", append([]byte{Version, byte(TypeReset)}, bytes.Repeat([]byte{0xff}, 11)...), ErrNumber},
		{"too long", make([]byte, MaxReply+1), ErrLength},
	} {
		if _, _, err := Open(c.message, MaxReply); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		into   fields
		fields []byte
		want   error
	}{
		{"signal 65", &Signal{}, []byte{65}, ErrNumber},
		{"errno 5000", &Reply{}, []byte{0x88, 0x27, 0}, ErrNumber},
		{"string longer than the message", &Reply{}, []byte{0, 5, 'a'}, ErrShort},
		{"string longer than any message", &Reply{}, []byte{0, 0xff, 0xff, 0xff, 0xff, 0x0f}, ErrNumber},
		{"list longer than the message", &Attach{}, []byte{100, 1, 'a'}, ErrShort},
		{"list longer than any", &Attach{}, []byte{0xff, 0xff, 0xff, 0x7f}, ErrNumber},
		{"a half truth", &Start{}, []byte{0, 0, 0, 0, 2, 0, 0}, ErrNumber},
		{"address of five bytes", &Setup{}, []byte{0, 0, 1, 5, 'a', 'b', 'c', 'd', 'e', 80, 0}, ErrNumber},
		{"port 65536", &Setup{}, []byte{0, 0, 1, 4, 'a', 'b', 'c', 'd', 0x80, 0x80, 0x04}, ErrNumber},
		{"a socket of another kind", &Setup{}, []byte{0, 0, 1, 4, 'a', 'b', 'c', 'd', 53, 2}, ErrNumber},
		{"user beyond 31 bits", &Launch{}, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0}, ErrNumber},
		{"a socket of a third family", &Socket{}, []byte{2}, ErrNumber},
		{"reset with fields", &Reset{}, []byte{0}, ErrTrailing},
		{"an argument of a fifth kind", &Fork{}, []byte{0, 0, 0, 0, 0, 1, 1, 'a', 1, 1, 4, 0, 0, 0, 0}, ErrNumber},
		{"seven arguments", &Fork{}, []byte{0, 0, 0, 0, 0, 1, 1, 'a', 1, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ErrNumber},
		{"half an instruction", &Fork{}, []byte{0, 0, 0, 0, 0, 1, 1, 'a', 1, 1, 3, 4, 1, 2, 3, 4, 0, 0}, ErrLength},
		{"a program of nothing", &Fork{}, []byte{0, 0, 0, 0, 0, 1, 1, 'a', 1, 1, 3, 0, 0, 0}, ErrLength},
		{"more steps than bytes", &Fork{}, []byte{0, 0, 0, 0, 0, 100, 1}, ErrShort},
		{"steps without end", &Fork{}, []byte{0, 0, 0, 0, 0, 0xff, 0x7f}, ErrNumber},
		{"process beyond 31 bits", &Adopt{}, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, ErrNumber},
		{"wait status beyond 32 bits", &Exit{}, []byte{0xff, 0xff, 0xff, 0xff, 0x1f}, ErrNumber},
	} {
		if err := c.into.Decode(c.fields); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// A message cut short anywhere, or with a byte more, is refused.
func TestEveryByteCounts(t *testing.T) {
	for kind, example := range examples() {
		message := example.Encode(300)
		for n := range message {
			if header, rest, err := Open(message[:n], MaxRequest); err == nil && empty(header.Type).Decode(rest) == nil {
				t.Errorf("type %d: the first %d of %d bytes are taken", kind, n, len(message))
			}
		}
		_, rest, err := Open(append(message, 0), MaxRequest)
		if err != nil {
			t.Fatal(err)
		}
		if err := empty(kind).Decode(rest); !errors.Is(err, ErrTrailing) {
			t.Errorf("type %d with a byte more: %v", kind, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for kind, example := range examples() {
		header, rest, err := Open(example.Encode(1<<40), MaxRequest)
		if err != nil || header != (Header{Type: kind, ID: 1 << 40}) {
			t.Fatalf("type %d: %+v, %v", kind, header, err)
		}
		got := empty(kind)
		if err := got.Decode(rest); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(example, got); diff != "" {
			t.Errorf("type %d: %s", kind, diff)
		}
	}
}

// Steps that stand alone are as strict as those in a message.
func TestSteps(t *testing.T) {
	encoded := EncodeSteps(someSteps())
	for n := range encoded {
		if _, err := DecodeSteps(encoded[:n]); !errors.Is(err, ErrShort) {
			t.Errorf("the first %d of %d bytes: %v", n, len(encoded), err)
		}
	}
	if _, err := DecodeSteps(encoded + "\x00"); !errors.Is(err, ErrTrailing) {
		t.Errorf("with a byte more: %v", err)
	}
	steps, err := DecodeSteps(encoded)
	if diff := cmp.Diff(someSteps(), steps); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestStartRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := Start{
			Path: rapid.String().Draw(rt, "path"), Dir: rapid.String().Draw(rt, "dir"),
			Args: rapid.SliceOf(rapid.String()).Draw(rt, "args"), Env: rapid.SliceOf(rapid.String()).Draw(rt, "env"),
			HasStdout: rapid.Bool().Draw(rt, "stdout"), FilesCount: rapid.Uint32Range(0, MaxFDs).Draw(rt, "files"),
		}
		header, rest, err := Open(want.Encode(rapid.Uint64().Draw(rt, "id")), MaxRequest)
		if err != nil || header.Type != TypeStart {
			rt.Fatal(header, err)
		}
		var got Start
		if err := got.Decode(rest); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatal(diff)
		}
	})
}

// Whatever decodes encodes to the same bytes: one meaning has one spelling. And nothing panics.
func FuzzMessage(f *testing.F) {
	for _, example := range examples() {
		f.Add(example.Encode(1))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		header, rest, err := Open(message, MaxRequest)
		if err != nil {
			return
		}
		m := empty(header.Type)
		if m.Decode(rest) != nil {
			return
		}
		if again := m.Encode(header.ID); !bytes.Equal(again, message) {
			t.Errorf("%x encodes as %x", message, again)
		}
	})
}
