package wire

import "math"

// Open reads a message's header and returns the fields that follow it. A message longer than most bytes, of
// another version or of an unknown type is an Error.
func Open(message []byte, most int) (Header, []byte, error) {
	if len(message) > most {
		return Header{}, nil, ErrLength
	}
	d := &decoder{buf: message}
	version, kind := d.byte(), Type(d.byte())
	switch {
	case d.err != nil:
		return Header{}, nil, d.err
	case version != Version:
		return Header{}, nil, ErrVersion
	case kind < TypeReply || kind > TypeExit:
		return Header{}, nil, ErrType
	}
	id := d.uint(math.MaxUint64)
	if d.err != nil {
		return Header{}, nil, d.err
	}
	return Header{Type: kind, ID: id}, d.buf, nil
}

// Encode makes a message with the id.
func (m *Setup) Encode(id uint64) []byte {
	e := encode(TypeSetup, id)
	e.string(m.Hostname)
	e.strings(m.Mounts)
	e.uint(uint64(len(m.Listen)))
	for _, address := range m.Listen {
		e.string(address.IP)
		e.uint(uint64(address.Port))
		e.bool(address.Packet)
	}
	e.uint(uint64(len(m.Limits)))
	for _, limit := range m.Limits {
		e.uint(uint64(limit.Resource))
		e.uint(limit.Most)
	}
	e.uint(uint64(m.UID))
	e.uint(uint64(m.GID))
	e.string(m.Confine)
	e.bool(m.Landlock)
	e.bool(m.Housed)
	return e.buf
}

// Decode reads the fields after the header.
func (m *Setup) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	m.Hostname = d.string()
	m.Mounts = d.strings()
	count := d.uint(MaxFDs)
	m.Listen = nil
	for range count {
		address := Address{IP: d.string(), Port: uint16(d.uint(math.MaxUint16)), Packet: d.bool()}
		if len(address.IP) != 4 && len(address.IP) != 16 {
			d.fail(ErrNumber)
		}
		if d.err != nil {
			return d.err
		}
		m.Listen = append(m.Listen, address)
	}
	m.Limits = nil
	for range d.uint(maxLimits) {
		m.Limits = append(m.Limits, Limit{Resource: uint32(d.uint(maxLimits)), Most: d.uint(math.MaxUint64)})
	}
	m.UID = uint32(d.uint(math.MaxUint32))
	m.GID = uint32(d.uint(math.MaxUint32))
	m.Confine = d.string()
	m.Landlock = d.bool()
	m.Housed = d.bool()
	return d.end()
}

// Encode makes a message with the id.
func (m *Start) Encode(id uint64) []byte {
	e := encode(TypeStart, id)
	e.string(m.Path)
	e.string(m.Dir)
	e.strings(m.Args)
	e.strings(m.Env)
	e.bool(m.HasStdout)
	e.bool(m.HasStderr)
	e.uint(uint64(m.FilesCount))
	return e.buf
}

// Decode reads the fields after the header.
func (m *Start) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	m.Path = d.string()
	m.Dir = d.string()
	m.Args = d.strings()
	m.Env = d.strings()
	m.HasStdout = d.bool()
	m.HasStderr = d.bool()
	m.FilesCount = uint32(d.uint(MaxFDs))
	return d.end()
}

// Encode makes a message with the id of a process.
func (m *Signal) Encode(id uint64) []byte {
	e := encode(TypeSignal, id)
	e.uint(uint64(m.Number))
	return e.buf
}

// Decode reads the fields after the header.
func (m *Signal) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	m.Number = uint32(d.uint(64))
	return d.end()
}

// Encode makes a message with the id.
func (m *Attach) Encode(id uint64) []byte {
	e := encode(TypeAttach, id)
	e.strings(m.Mounts)
	return e.buf
}

// Decode reads the fields after the header.
func (m *Attach) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	m.Mounts = d.strings()
	return d.end()
}

// Encode makes a message with the id.
func (m *Reset) Encode(id uint64) []byte { return encode(TypeReset, id).buf }

// Decode reads the fields after the header: none.
func (m *Reset) Decode(fields []byte) error { return (&decoder{buf: fields}).end() }

// Encode makes a message with the id.
func (m *Launch) Encode(id uint64) []byte {
	e := encode(TypeLaunch, id)
	for _, number := range [...]uint32{m.InitID, m.UserID, m.UID, m.GID} {
		e.uint(uint64(number))
	}
	e.bool(m.HasCgroup)
	e.uint(uint64(m.Groups))
	e.bool(m.Template)
	return e.buf
}

// Decode reads the fields after the header.
func (m *Launch) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	for _, number := range [...]*uint32{&m.InitID, &m.UserID, &m.UID, &m.GID} {
		*number = uint32(d.uint(math.MaxInt32))
	}
	m.HasCgroup = d.bool()
	m.Groups = uint32(d.uint(MaxFDs))
	m.Template = d.bool()
	return d.end()
}

// Encode makes a message with the id.
func (m *Socket) Encode(id uint64) []byte {
	e := encode(TypeSocket, id)
	e.bool(m.V6)
	return e.buf
}

// Decode reads the fields after the header.
func (m *Socket) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	m.V6 = d.bool()
	return d.end()
}

// Encode makes a message with the id.
func (m *Stop) Encode(id uint64) []byte {
	e := encode(TypeStop, id)
	e.bool(m.GoOn)
	return e.buf
}

// Decode reads the fields after the header.
func (m *Stop) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	m.GoOn = d.bool()
	return d.end()
}

// Encode makes a message with the id of the request.
func (m *Reply) Encode(id uint64) []byte {
	e := encode(TypeReply, id)
	e.uint(uint64(m.Errno))
	e.string(m.Stage)
	return e.buf
}

// Decode reads the fields after the header.
func (m *Reply) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	m.Errno = uint32(d.uint(maxErrno))
	m.Stage = d.string()
	return d.end()
}

// Encode makes a message with the id of the process.
func (m *Exit) Encode(id uint64) []byte {
	e := encode(TypeExit, id)
	e.uint(uint64(m.WaitStatus))
	return e.buf
}

// Decode reads the fields after the header.
func (m *Exit) Decode(fields []byte) error {
	d := &decoder{buf: fields}
	m.WaitStatus = uint32(d.uint(math.MaxUint32))
	return d.end()
}
