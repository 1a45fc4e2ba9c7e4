package wire

import "math"

// maxLimits is more than there are resource limits.
const maxLimits = 64

// Encode makes a message with the id.
func (m *Template) Encode(id uint64) []byte {
	e := encode(TypeTemplate, id)
	e.strings(m.Mounts)
	e.string(m.Path)
	e.string(m.Dir)
	e.strings(m.Args)
	e.strings(m.Env)
	e.steps(m.Confine)
	return e.buf
}

// Decode reads the fields after the header.
func (m *Template) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	m.Mounts = d.strings()
	m.Path = d.string()
	m.Dir = d.string()
	m.Args = d.strings()
	m.Env = d.strings()
	m.Confine = d.steps()
	return d.end()
}

// Encode makes a message with the id.
func (m *Fork) Encode(id uint64) []byte {
	e := encode(TypeFork, id)
	e.bool(m.HasCgroup)
	e.bool(m.HasStdout)
	e.bool(m.HasStderr)
	e.uint(uint64(m.FilesCount))
	e.string(m.Dir)
	e.steps(m.Enter)
	e.steps(m.Become)
	return e.buf
}

// Decode reads the fields after the header.
func (m *Fork) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	m.HasCgroup = d.bool()
	m.HasStdout = d.bool()
	m.HasStderr = d.bool()
	m.FilesCount = uint32(d.uint(MaxFDs))
	m.Dir = d.string()
	m.Enter = d.steps()
	m.Become = d.steps()
	return d.end()
}

// Encode makes a message with the id of the request.
func (m *Forked) Encode(id uint64) []byte {
	e := encode(TypeForked, id)
	e.uint(uint64(m.PID))
	e.uint(uint64(m.Errno))
	e.string(m.Stage)
	return e.buf
}

// Decode reads the fields after the header.
func (m *Forked) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	m.PID = uint32(d.uint(math.MaxInt32))
	m.Errno = uint32(d.uint(maxErrno))
	m.Stage = d.string()
	return d.end()
}

// Encode makes a message with the id.
func (m *Ruleset) Encode(id uint64) []byte { return encode(TypeRuleset, id).buf }

// Decode reads the fields after the header: none.
func (m *Ruleset) Decode(fields []byte) error { return (&decoder{buf: fields}).end() }

// Encode makes a message with the id.
func (m *Adopt) Encode(id uint64) []byte {
	e := encode(TypeAdopt, id)
	e.uint(uint64(m.PID))
	return e.buf
}

// Decode reads the fields after the header.
func (m *Adopt) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	m.PID = uint32(d.uint(math.MaxInt32))
	return d.end()
}
