package cborwire

import (
	"encoding/binary"
	"math"
	"reflect"
	"sort"
	"time"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
)

// appendHead appends an item's type and number in the shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

// AppendText appends a text string.
func AppendText(b []byte, text string) []byte {
	return append(appendHead(b, majorText, uint64(len(text))), text...)
}

// AppendMap appends the start of a map of n entries.
func AppendMap(b []byte, n int) []byte { return appendHead(b, majorMap, uint64(n)) }

// AppendArray appends the start of an array of n elements.
func AppendArray(b []byte, n int) []byte { return appendHead(b, majorArray, uint64(n)) }

// AppendBool appends a boolean.
func AppendBool(b []byte, value bool) []byte {
	if value {
		return append(b, majorSimple<<5|simpleTrue)
	}
	return append(b, majorSimple<<5|simpleFalse)
}

// AppendInt appends an integer.
func AppendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, majorNegative, uint64(-1-n))
	}
	return appendHead(b, majorUnsigned, uint64(n))
}

// AppendFloat appends a number, in single precision where that loses nothing.
func AppendFloat(b []byte, n float64) []byte {
	if single := float32(n); float64(single) == n {
		return binary.BigEndian.AppendUint32(append(b, majorSimple<<5|floatSingle), math.Float32bits(single))
	}
	return binary.BigEndian.AppendUint64(append(b, majorSimple<<5|floatDouble), math.Float64bits(n))
}

// AppendBytes appends a byte string.
func AppendBytes(b, content []byte) []byte {
	return append(appendHead(b, majorBytes, uint64(len(content))), content...)
}

// AppendTime appends a point in time, exact to the millisecond.
func AppendTime(b []byte, t time.Time) []byte {
	b = appendHead(b, majorTag, tagEpoch)
	if ms := t.UnixMilli(); ms%1000 != 0 {
		return binary.BigEndian.AppendUint64(append(b, majorSimple<<5|floatDouble), math.Float64bits(float64(ms)/1000))
	}
	return AppendInt(b, t.Unix())
}

// AppendStructure appends the body members of a structure. Absent members are left out.
func AppendStructure(b []byte, p *plan.Plan, v reflect.Value) []byte {
	n := 0
	for _, f := range p.Body {
		if _, ok := plan.Present(f.Of(v)); ok {
			n++
		}
	}
	b = AppendMap(b, n)
	for _, f := range p.Body {
		if member, ok := plan.Present(f.Of(v)); ok {
			b = appendValue(AppendText(b, f.Wire), f, member)
		}
	}
	return b
}

func appendValue(b []byte, f *plan.Field, v reflect.Value) []byte {
	switch f.Plan.Shape.Kind {
	case awsapi.KindStructure:
		return AppendStructure(b, f.Plan, v)
	case awsapi.KindList:
		b = AppendArray(b, v.Len())
		for i := range v.Len() {
			b = orNull(b, f.Plan.Element, v.Index(i), f.Plan.Shape.Sparse)
		}
		return b
	case awsapi.KindMap:
		keys := v.MapKeys()
		sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
		b = AppendMap(b, len(keys))
		for _, key := range keys {
			b = orNull(AppendText(b, key.String()), f.Plan.Value, v.MapIndex(key), f.Plan.Shape.Sparse)
		}
		return b
	case awsapi.KindString:
		return AppendText(b, v.String())
	case awsapi.KindBoolean:
		return AppendBool(b, v.Bool())
	case awsapi.KindInteger, awsapi.KindLong:
		return AppendInt(b, v.Int())
	case awsapi.KindFloat, awsapi.KindDouble:
		return AppendFloat(b, v.Float())
	case awsapi.KindBlob:
		return AppendBytes(b, v.Bytes())
	case awsapi.KindTimestamp:
		return AppendTime(b, v.Interface().(time.Time))
	default:
		return append(b, majorSimple<<5|simpleNull)
	}
}

// orNull writes an entry of a list or map. Where there is nothing a dense one has an empty list, map or blob.
func orNull(b []byte, f *plan.Field, v reflect.Value, sparse bool) []byte {
	present, ok := plan.Present(v)
	if !ok && (sparse || v.Kind() == reflect.Pointer) {
		return append(b, majorSimple<<5|simpleNull)
	}
	return appendValue(b, f, present)
}
