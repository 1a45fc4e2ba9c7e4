package jsonwire

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"sort"
	"strconv"
	"time"
	"unicode/utf8"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/internal/timestamp"
)

// Encoder writes JSON by plan. Absent members are left out.
type Encoder struct {
	// Timestamp is the protocol's default format.
	Timestamp awsapi.TimestampFormat
}

// AppendStructure appends the body members of a structure.
func (e *Encoder) AppendStructure(b []byte, p *plan.Plan, v reflect.Value) []byte {
	b = append(b, '{')
	first := true
	for _, f := range p.Body {
		member, ok := plan.Present(f.Of(v))
		if !ok {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(AppendString(b, f.Wire), ':')
		b = e.AppendValue(b, f, member)
	}
	return append(b, '}')
}

// AppendValue appends any value; v has been followed with plan.Present.
func (e *Encoder) AppendValue(b []byte, f *plan.Field, v reflect.Value) []byte {
	switch f.Plan.Shape.Kind {
	case awsapi.KindStructure:
		return e.AppendStructure(b, f.Plan, v)
	case awsapi.KindList:
		return e.list(b, f.Plan, v)
	case awsapi.KindMap:
		return e.mapping(b, f.Plan, v)
	case awsapi.KindString:
		return AppendString(b, v.String())
	case awsapi.KindBoolean:
		return strconv.AppendBool(b, v.Bool())
	case awsapi.KindInteger, awsapi.KindLong:
		return strconv.AppendInt(b, v.Int(), 10)
	case awsapi.KindFloat, awsapi.KindDouble:
		if n := v.Float(); math.IsNaN(n) || math.IsInf(n, 0) {
			return append(plan.AppendFloat(append(b, '"'), n), '"')
		}
		return plan.AppendFloat(b, v.Float())
	case awsapi.KindTimestamp:
		t := v.Interface().(time.Time)
		format := f.Format(e.Timestamp)
		if format == awsapi.TimestampEpoch {
			return timestamp.AppendText(b, t, format)
		}
		return append(timestamp.AppendText(append(b, '"'), t, format), '"')
	case awsapi.KindBlob:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"')
	default:
		if raw := v.Bytes(); len(raw) > 0 {
			return append(b, raw...)
		}
		return append(b, "null"...)
	}
}

func (e *Encoder) list(b []byte, p *plan.Plan, v reflect.Value) []byte {
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.orNull(b, p.Element, v.Index(i), p.Shape.Sparse)
	}
	return append(b, ']')
}

// mapping writes a map in the order of its keys, so that answers are the same each time.
func (e *Encoder) mapping(b []byte, p *plan.Plan, v reflect.Value) []byte {
	keys := v.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(AppendString(b, key.String()), ':')
		b = e.orNull(b, p.Value, v.MapIndex(key), p.Shape.Sparse)
	}
	return append(b, '}')
}

// orNull writes an entry of a list or map. Where there is nothing a dense one has an empty list, map or blob.
func (e *Encoder) orNull(b []byte, f *plan.Field, v reflect.Value, sparse bool) []byte {
	if sparse || v.Kind() != reflect.Slice && v.Kind() != reflect.Map {
		present, ok := plan.Present(v)
		if !ok {
			return append(b, "null"...)
		}
		v = present
	}
	return e.AppendValue(b, f, v)
}

const hexDigits = "0123456789abcdef"

// AppendString appends a JSON string. What is not UTF-8 becomes the replacement character.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size != 1 {
				i += size
				continue
			}
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			if c >= utf8.RuneSelf {
				b = append(b, `\ufffd`...)
			} else {
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// AppendAny appends a value that has no plan: text, a number, a boolean, a raw document, or a list or map of such.
func AppendAny(b []byte, value any) []byte {
	if text, ok := value.(string); ok {
		return AppendString(b, text)
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, encoded...)
}
