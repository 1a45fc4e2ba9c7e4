// Package cborwire reads and writes CBOR (RFC 8949) bodies by plan, for the rpc-v2-cbor protocol. It must not know
// HTTP.
package cborwire

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"time"
	"unicode/utf8"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/internal/timestamp"
)

// maxDepth bounds nesting, so that hostile input cannot exhaust the stack.
const maxDepth = 500

// ErrMalformed says that a text is no CBOR; ErrType that a value is not of the model's type.
var (
	ErrMalformed = errors.New("malformed CBOR")
	ErrType      = errors.New("Unexpected field type") //nolint:staticcheck // AWS's own words
)

// The major types.
const (
	majorUnsigned = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

// Simple values, and the mark of an indefinite length.
const (
	simpleFalse          = 20
	simpleTrue           = 21
	simpleNull           = 22
	simpleUndefined      = 23
	floatHalf            = 25
	floatSingle          = 26
	floatDouble          = 27
	indefinite           = 31
	tagEpoch             = 1
	breakByte       byte = 0xff
)

// Decode reads one value into v, which must be settable.
func Decode(data []byte, f *plan.Field, v reflect.Value) error {
	r := &reader{data: data}
	if err := r.value(f, v); err != nil {
		return err
	}
	if r.pos != len(r.data) {
		return ErrMalformed
	}
	return nil
}

type reader struct {
	data  []byte
	pos   int
	depth int
}

// head is an item's first bytes: its type, the number after it, and the raw low bits.
type head struct {
	major byte
	info  byte
	n     uint64
}

func (r *reader) head() (head, error) {
	if r.pos >= len(r.data) {
		return head{}, ErrMalformed
	}
	first := r.data[r.pos]
	r.pos++
	h := head{major: first >> 5, info: first & 31}
	switch {
	case h.info < 24:
		h.n = uint64(h.info)
	case h.info <= 27:
		size := 1 << (h.info - 24)
		if len(r.data)-r.pos < size {
			return h, ErrMalformed
		}
		var wide [8]byte
		copy(wide[8-size:], r.data[r.pos:r.pos+size])
		h.n = binary.BigEndian.Uint64(wide[:])
		r.pos += size
	case h.info != indefinite || h.major < majorBytes || h.major == majorTag:
		return h, ErrMalformed
	}
	return h, nil
}

// isBreak takes the end of an indefinite item.
func (r *reader) isBreak() bool {
	if r.pos < len(r.data) && r.data[r.pos] == breakByte {
		r.pos++
		return true
	}
	return false
}

// items calls visit for each entry of an array or map.
func (r *reader) items(h head, visit func() error) error {
	if r.depth++; r.depth > maxDepth {
		return ErrMalformed
	}
	defer func() { r.depth-- }()
	if h.info == indefinite {
		for !r.isBreak() {
			if err := visit(); err != nil {
				return err
			}
		}
		return nil
	}
	for range h.n {
		// Each entry takes at least one byte, so a false count ends here and not in memory.
		if err := visit(); err != nil {
			return err
		}
	}
	return nil
}

// bytes reads a byte or text string; the parts of an indefinite one are joined.
func (r *reader) bytes(h head) ([]byte, error) {
	if h.info != indefinite {
		if h.n > uint64(len(r.data)-r.pos) {
			return nil, ErrMalformed
		}
		b := r.data[r.pos : r.pos+int(h.n)]
		r.pos += int(h.n)
		return b, nil
	}
	joined := []byte{}
	for !r.isBreak() {
		part, err := r.head()
		if err != nil || part.major != h.major || part.info == indefinite {
			return nil, ErrMalformed
		}
		b, err := r.bytes(part)
		if err != nil {
			return nil, err
		}
		joined = append(joined, b...)
	}
	return joined, nil
}

func (r *reader) text(h head) (string, error) {
	b, err := r.bytes(h)
	if err != nil || !utf8.Valid(b) {
		return "", ErrMalformed
	}
	return string(b), nil
}

func (r *reader) value(f *plan.Field, v reflect.Value) error {
	h, err := r.head()
	if err != nil {
		return err
	}
	for h.major == majorTag && h.n != tagEpoch {
		if h, err = r.head(); err != nil {
			return err
		}
	}
	kind := f.Plan.Shape.Kind
	switch h.major {
	case majorTag:
		return r.epoch(f, v)
	case majorMap:
		switch kind {
		case awsapi.KindStructure:
			return r.structure(h, f.Plan, plan.Settle(v))
		case awsapi.KindMap:
			return r.mapping(h, f.Plan, v)
		}
	case majorArray:
		if kind == awsapi.KindList {
			return r.list(h, f.Plan, v)
		}
	case majorText:
		if kind == awsapi.KindString {
			text, err := r.text(h)
			if err == nil {
				plan.SetString(v, text)
			}
			return err
		}
	case majorBytes:
		if kind == awsapi.KindBlob {
			b, err := r.bytes(h)
			if err == nil {
				v.SetBytes(append([]byte{}, b...))
			}
			return err
		}
	case majorSimple:
		return r.simple(h, kind, v)
	default:
		return integer(h, f.Plan, v)
	}
	return ErrType
}

// integer stores a number without a fraction.
func integer(h head, p *plan.Plan, v reflect.Value) error {
	if h.n > math.MaxInt64 {
		return ErrType
	}
	n := int64(h.n)
	if h.major == majorNegative {
		n = -1 - n
	}
	switch p.Shape.Kind {
	case awsapi.KindInteger, awsapi.KindLong:
		if reflect.Zero(p.Type).OverflowInt(n) {
			return ErrType
		}
		plan.Settle(v).SetInt(n)
	case awsapi.KindFloat, awsapi.KindDouble:
		plan.Settle(v).SetFloat(float64(n))
	default:
		return ErrType
	}
	return nil
}

func (r *reader) simple(h head, kind awsapi.Kind, v reflect.Value) error {
	switch h.info {
	case simpleNull, simpleUndefined:
		return nil
	case simpleFalse, simpleTrue:
		if kind != awsapi.KindBoolean {
			return ErrType
		}
		plan.Settle(v).SetBool(h.info == simpleTrue)
		return nil
	}
	n, ok := h.float()
	if !ok {
		return ErrMalformed
	}
	switch kind {
	case awsapi.KindFloat, awsapi.KindDouble:
		plan.Settle(v).SetFloat(n)
		return nil
	default:
		return ErrType
	}
}

// float is the number of a float's head.
func (h head) float() (float64, bool) {
	switch h.info {
	case floatHalf:
		return half(uint16(h.n)), true
	case floatSingle:
		return float64(math.Float32frombits(uint32(h.n))), true
	case floatDouble:
		return math.Float64frombits(h.n), true
	default:
		return 0, false
	}
}

// half widens a half-precision float.
func half(bits uint16) float64 {
	sign, exponent, fraction := 1.0, int(bits>>10&31), float64(bits&1023)
	if bits&0x8000 != 0 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	default:
		return sign * math.Ldexp(fraction+1024, exponent-25)
	}
}

// epoch reads the number after tag 1.
func (r *reader) epoch(f *plan.Field, v reflect.Value) error {
	if f.Plan.Shape.Kind != awsapi.KindTimestamp {
		return ErrType
	}
	h, err := r.head()
	if err != nil {
		return err
	}
	var seconds float64
	switch h.major {
	case majorUnsigned:
		seconds = float64(h.n)
	case majorNegative:
		seconds = -1 - float64(h.n)
	case majorSimple:
		var ok bool
		if seconds, ok = h.float(); !ok {
			return ErrType
		}
	default:
		return ErrType
	}
	var at time.Time
	if at, err = timestamp.FromEpoch(seconds); err != nil {
		return ErrType
	}
	plan.Settle(v).Set(reflect.ValueOf(at))
	return nil
}

// key reads a map's key.
func (r *reader) key() (string, error) {
	h, err := r.head()
	if err != nil || h.major != majorText {
		return "", ErrMalformed
	}
	return r.text(h)
}

func (r *reader) structure(h head, p *plan.Plan, v reflect.Value) error {
	return r.items(h, func() error {
		name, err := r.key()
		if err != nil {
			return err
		}
		if f := p.ByWire([]byte(name)); f != nil {
			return r.value(f, f.Of(v))
		}
		return r.skip()
	})
}

func (r *reader) list(h head, p *plan.Plan, v reflect.Value) error {
	slice := reflect.MakeSlice(v.Type(), 0, 0)
	err := r.items(h, func() error {
		if r.null() && !p.Shape.Sparse {
			return ErrType // A dense list has no place for nothing.
		}
		element := reflect.New(v.Type().Elem()).Elem()
		if err := r.value(p.Element, element); err != nil {
			return err
		}
		slice = reflect.Append(slice, element)
		return nil
	})
	v.Set(slice)
	return err
}

func (r *reader) mapping(h head, p *plan.Plan, v reflect.Value) error {
	m := reflect.MakeMap(v.Type())
	err := r.items(h, func() error {
		name, err := r.key()
		if err != nil {
			return err
		}
		if r.null() && !p.Shape.Sparse {
			return ErrType
		}
		element := reflect.New(v.Type().Elem()).Elem()
		if err := r.value(p.Value, element); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), element)
		return nil
	})
	v.Set(m)
	return err
}

// null says whether the next item is null or undefined.
func (r *reader) null() bool {
	return r.pos < len(r.data) && (r.data[r.pos] == majorSimple<<5|simpleNull || r.data[r.pos] == majorSimple<<5|simpleUndefined)
}

// skip reads over any item.
func (r *reader) skip() error {
	h, err := r.head()
	if err != nil {
		return err
	}
	switch h.major {
	case majorBytes, majorText:
		_, err = r.bytes(h)
	case majorArray:
		err = r.items(h, r.skip)
	case majorMap:
		err = r.items(h, func() error {
			if err := r.skip(); err != nil {
				return err
			}
			return r.skip()
		})
	case majorTag:
		if r.depth++; r.depth > maxDepth {
			return ErrMalformed
		}
		err = r.skip()
		r.depth--
	case majorSimple:
		if h.info == indefinite {
			err = ErrMalformed
		}
	}
	return err
}
