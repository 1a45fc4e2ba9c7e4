package plan

import (
	"encoding/base64"
	"errors"
	"math"
	"reflect"
	"strconv"
	"time"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/timestamp"
)

// Settle makes room for a value: it fills a pointer and returns what it points to, or the value itself.
func Settle(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return v.Elem()
	}
	return v
}

// SetString stores a text in a string, a *string or a named one.
func SetString(v reflect.Value, text string) {
	if p, ok := v.Addr().Interface().(**string); ok {
		*p = &text
		return
	}
	Settle(v).SetString(text)
}

// Present follows a pointer; it is not ok where there is nothing: a nil pointer, slice, map, interface or function.
func Present(v reflect.Value) (reflect.Value, bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v, false
		}
		return v.Elem(), true
	case reflect.Slice, reflect.Map, reflect.Interface, reflect.Func:
		return v, !v.IsNil()
	default:
		return v, true
	}
}

// errText says that a text does not have the form of its kind.
var errText = errors.New("malformed value")

// ParseText stores a scalar written as text: in a header, a query, a path, a form or an XML element.
func (f *Field) ParseText(v reflect.Value, text string, format awsapi.TimestampFormat) error {
	switch f.Plan.Shape.Kind {
	case awsapi.KindString:
		SetString(v, text)
	case awsapi.KindBoolean:
		switch text {
		case "true", "True", "TRUE":
			Settle(v).SetBool(true)
		case "false", "False", "FALSE":
			Settle(v).SetBool(false)
		default:
			return errText
		}
	case awsapi.KindInteger, awsapi.KindLong:
		n, err := strconv.ParseInt(text, 10, f.Plan.Type.Bits())
		if err != nil {
			return errText
		}
		Settle(v).SetInt(n)
	case awsapi.KindFloat, awsapi.KindDouble:
		n, err := ParseFloat(text)
		if err != nil {
			return err
		}
		Settle(v).SetFloat(n)
	case awsapi.KindTimestamp:
		t, err := timestamp.Parse(text, f.Format(format))
		if err != nil {
			return errText
		}
		Settle(v).Set(reflect.ValueOf(t))
	case awsapi.KindBlob:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return errText
		}
		v.SetBytes(b)
	default:
		return errText
	}
	return nil
}

// ParseFloat reads a number as AWS writes them: with NaN and Infinity, without hexadecimals or underscores.
func ParseFloat(text string) (float64, error) {
	switch text {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
		default:
			return 0, errText
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, errText
	}
	return n, nil
}

// AppendFloat writes a number the way ParseFloat reads it.
func AppendFloat(b []byte, n float64) []byte {
	switch {
	case math.IsNaN(n):
		return append(b, "NaN"...)
	case math.IsInf(n, 1):
		return append(b, "Infinity"...)
	case math.IsInf(n, -1):
		return append(b, "-Infinity"...)
	case n == math.Trunc(n) && math.Abs(n) < 1e15:
		return strconv.AppendFloat(b, n, 'f', 1, 64)
	default:
		return strconv.AppendFloat(b, n, 'g', -1, 64)
	}
}

// AppendText writes a scalar as text; v has been followed with Present.
func (f *Field) AppendText(b []byte, v reflect.Value, format awsapi.TimestampFormat) []byte {
	switch f.Plan.Shape.Kind {
	case awsapi.KindString:
		return append(b, v.String()...)
	case awsapi.KindBoolean:
		return strconv.AppendBool(b, v.Bool())
	case awsapi.KindInteger, awsapi.KindLong:
		return strconv.AppendInt(b, v.Int(), 10)
	case awsapi.KindFloat, awsapi.KindDouble:
		return AppendFloat(b, v.Float())
	case awsapi.KindTimestamp:
		return timestamp.AppendText(b, v.Interface().(time.Time), f.Format(format))
	case awsapi.KindBlob:
		return base64.StdEncoding.AppendEncode(b, v.Bytes())
	default:
		return b
	}
}
