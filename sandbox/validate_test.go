package sandbox

import (
	"os"
	"strings"
	"testing"
)

func TestSpecValidate(t *testing.T) {
	good := func() Spec {
		return Spec{
			ID: "env-1", Root: Root{Dir: "/r", Binds: []Bind{{Source: "/usr", Target: "/usr"}}}, Binds: []Bind{{Source: "/code", Target: "/var/task"}},
			Hostname: "h", Limits: Limits{MemoryBytes: 1, MilliCPU: 1, PIDs: 1, OpenFiles: 1, TmpBytes: 1},
			Listen: []string{"127.0.0.1:9001", "[::1]:9001", "127.0.0.2:9001"}, ListenPacket: []string{"127.0.0.1:9001"},
		}
	}
	for name, spoil := range map[string]func(*Spec){
		"no ID":                func(s *Spec) { s.ID = "" },
		"capitals in ID":       func(s *Spec) { s.ID = "Env" },
		"climbing ID":          func(s *Spec) { s.ID = ".." },
		"ID of 65":             func(s *Spec) { s.ID = strings.Repeat("a", 65) },
		"hostname of 65":       func(s *Spec) { s.Hostname = strings.Repeat("a", 65) },
		"slash in hostname":    func(s *Spec) { s.Hostname = "a/b" },
		"relative root":        func(s *Spec) { s.Root.Dir = "r" },
		"relative root bind":   func(s *Spec) { s.Root.Binds[0].Source = "usr" },
		"root as target":       func(s *Spec) { s.Binds[0].Target = "/" },
		"unclean target":       func(s *Spec) { s.Binds[0].Target = "/var//task" },
		"climbing target":      func(s *Spec) { s.Binds[0].Target = "/var/../etc" },
		"NUL in target":        func(s *Spec) { s.Binds[0].Target = "/a\x00" },
		"NUL in source":        func(s *Spec) { s.Binds[0].Source = "/a\x00" },
		"too many binds":       func(s *Spec) { s.Binds = make([]Bind, MaxBinds) },
		"negative processes":   func(s *Spec) { s.Limits.PIDs = -1 },
		"negative CPU":         func(s *Spec) { s.Limits.MilliCPU = -1 },
		"absurd CPU":           func(s *Spec) { s.Limits.MilliCPU = 1e9 },
		"negative /tmp":        func(s *Spec) { s.Limits.TmpBytes = -1 },
		"a name to listen on":  func(s *Spec) { s.Listen = []string{"localhost:80"} },
		"a zone to listen on":  func(s *Spec) { s.Listen = []string{"[::1%lo]:80"} },
		"IPv4 in IPv6":         func(s *Spec) { s.Listen = []string{"[::ffff:127.0.0.1]:80"} },
		"another spelling":     func(s *Spec) { s.Listen = []string{"[0:0::1]:80"} },
		"no loopback":          func(s *Spec) { s.Listen = []string{"10.0.0.1:80"} },
		"port 0":               func(s *Spec) { s.Listen = []string{"127.0.0.1:0"} },
		"twice":                func(s *Spec) { s.Listen = []string{"127.0.0.1:80", "127.0.0.1:80"} },
		"too many to listen":   func(s *Spec) { s.Listen = make([]string, MaxListen+1) },
		"packets elsewhere":    func(s *Spec) { s.ListenPacket = []string{"10.0.0.1:53"} },
		"packets twice":        func(s *Spec) { s.ListenPacket = []string{"127.0.0.1:53", "127.0.0.1:53"} },
		"nothing to listen on": func(s *Spec) { s.Listen = []string{""} },
	} {
		spec := good()
		spoil(&spec)
		if err := spec.Validate(); err == nil {
			t.Errorf("%s: valid", name)
		}
	}
	spec := good()
	if err := spec.Validate(); err != nil {
		t.Error(err)
	}
}

func TestCommandValidate(t *testing.T) {
	good := func() Command {
		return Command{Path: "/bin/sh", Args: []string{"sh"}, Env: []string{"A=b"}, Dir: "/tmp", Files: []*os.File{os.Stdin}}
	}
	for name, spoil := range map[string]func(*Command){
		"relative path":      func(c *Command) { c.Path = "sh" },
		"unclean path":       func(c *Command) { c.Path = "/bin/../bin/sh" },
		"no arguments":       func(c *Command) { c.Args = nil },
		"NUL in an argument": func(c *Command) { c.Args = []string{"\x00"} },
		"NUL in a variable":  func(c *Command) { c.Env = []string{"A=\x00"} },
		"relative directory": func(c *Command) { c.Dir = "tmp" },
		"a nil file":         func(c *Command) { c.Files = []*os.File{nil} },
		"too many files":     func(c *Command) { c.Files = make([]*os.File, MaxFiles+1) },
	} {
		command := good()
		spoil(&command)
		if err := command.Validate(); err == nil {
			t.Errorf("%s: valid", name)
		}
	}
	command := good()
	if err := command.Validate(); err != nil {
		t.Error(err)
	}
}
