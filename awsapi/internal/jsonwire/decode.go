package jsonwire

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strconv"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/internal/timestamp"
)

// TypeError says, in AWS's words, that a value has not the type that the model has.
type TypeError struct{ Reason string }

func (e *TypeError) Error() string { return e.Reason }

// The words of AWS's own deserializer.
var (
	errList      = &TypeError{"Start of list found where not expected"}
	errStructure = &TypeError{"Start of structure or map found where not expected"}
	errField     = &TypeError{"Unexpected field type"}
)

// Decoder reads JSON by plan.
type Decoder struct {
	// Timestamp is the protocol's default format.
	Timestamp awsapi.TimestampFormat
}

// Decode reads one value into v, which must be settable. The body member's place is f.
func (d *Decoder) Decode(data []byte, f *plan.Field, v reflect.Value) error {
	r := reader{scanner: scanner{data: data}, Decoder: d}
	if err := r.value(f, v); err != nil {
		return err
	}
	return r.end()
}

type reader struct {
	scanner
	*Decoder
}

func (r *reader) value(f *plan.Field, v reflect.Value) error {
	c := r.space()
	kind := f.Plan.Shape.Kind
	if kind == awsapi.KindDocument {
		return r.document(v)
	}
	switch c {
	case 'n':
		return r.literal("null")
	case '{':
		switch kind {
		case awsapi.KindStructure:
			return r.structure(f.Plan, plan.Settle(v))
		case awsapi.KindMap:
			return r.mapping(f.Plan, v)
		}
		return errStructure
	case '[':
		if kind == awsapi.KindList {
			return r.list(f.Plan, v)
		}
		return errList
	case '"':
		text, err := r.text()
		if err != nil {
			return err
		}
		return r.fromString(f, v, text)
	case 't', 'f':
		return r.boolean(kind, v, c == 't')
	default:
		text, err := r.number()
		if err != nil {
			return err
		}
		return fromNumber(f.Plan, v, text)
	}
}

func (r *reader) document(v reflect.Value) error {
	start := r.pos
	if err := r.skip(); err != nil {
		return err
	}
	v.Set(reflect.ValueOf(json.RawMessage(append([]byte(nil), r.data[start:r.pos]...))))
	return nil
}

func (r *reader) structure(p *plan.Plan, v reflect.Value) error {
	if err := r.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := r.next('}', first)
		if err != nil || !more {
			return err
		}
		name, err := r.name()
		if err != nil {
			return err
		}
		if f := p.ByWire(name); f != nil {
			err = r.value(f, f.Of(v))
		} else {
			err = r.skip()
		}
		if err != nil {
			return err
		}
	}
}

func (r *reader) list(p *plan.Plan, v reflect.Value) error {
	if err := r.enter(); err != nil {
		return err
	}
	slice := reflect.MakeSlice(v.Type(), 0, 0)
	for first := true; ; first = false {
		more, err := r.next(']', first)
		if err != nil {
			return err
		}
		if !more {
			v.Set(slice)
			return nil
		}
		if r.space() == 'n' && !p.Shape.Sparse && p.Element.Plan.Shape.Kind != awsapi.KindDocument {
			return errField // A dense list has no place for nothing.
		}
		slice = reflect.Append(slice, reflect.Zero(v.Type().Elem()))
		if err := r.value(p.Element, slice.Index(slice.Len()-1)); err != nil {
			return err
		}
	}
}

func (r *reader) mapping(p *plan.Plan, v reflect.Value) error {
	if err := r.enter(); err != nil {
		return err
	}
	m := reflect.MakeMap(v.Type())
	for first := true; ; first = false {
		more, err := r.next('}', first)
		if err != nil {
			return err
		}
		if !more {
			v.Set(m)
			return nil
		}
		name, err := r.name()
		if err != nil {
			return err
		}
		key := reflect.ValueOf(string(name)).Convert(v.Type().Key())
		element := reflect.New(v.Type().Elem()).Elem()
		if r.space() == 'n' && !p.Shape.Sparse && p.Value.Plan.Shape.Kind != awsapi.KindDocument {
			return errField
		}
		if err := r.value(p.Value, element); err != nil {
			return err
		}
		m.SetMapIndex(key, element)
	}
}

func (r *reader) boolean(kind awsapi.Kind, v reflect.Value, value bool) error {
	word, token := "false", "FALSE_VALUE"
	if value {
		word, token = "true", "TRUE_VALUE"
	}
	if err := r.literal(word); err != nil {
		return err
	}
	if kind != awsapi.KindBoolean {
		return cannot(token, kind)
	}
	plan.Settle(v).SetBool(value)
	return nil
}

func (r *reader) fromString(f *plan.Field, v reflect.Value, text []byte) error {
	switch kind := f.Plan.Shape.Kind; kind {
	case awsapi.KindString:
		plan.SetString(v, string(text))
	case awsapi.KindBlob:
		b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Decode(b, text)
		if err != nil {
			return &TypeError{"Invalid base64 encoding"}
		}
		v.SetBytes(b[:n])
	case awsapi.KindTimestamp:
		t, err := timestamp.Parse(string(text), f.Format(r.Timestamp))
		if err != nil {
			return &TypeError{"Invalid timestamp: " + string(text)}
		}
		plan.Settle(v).Set(reflect.ValueOf(t))
	case awsapi.KindFloat, awsapi.KindDouble:
		n, err := plan.ParseFloat(string(text))
		if err != nil || !math.IsNaN(n) && !math.IsInf(n, 0) {
			return cannot("STRING_VALUE", kind)
		}
		plan.Settle(v).SetFloat(n)
	default:
		return cannot("STRING_VALUE", kind)
	}
	return nil
}

func fromNumber(p *plan.Plan, v reflect.Value, text []byte) error {
	switch kind := p.Shape.Kind; kind {
	case awsapi.KindInteger, awsapi.KindLong:
		n, err := strconv.ParseInt(string(text), 10, p.Type.Bits())
		if err != nil {
			// 1e3 and 5.0 are integers too.
			x, err := strconv.ParseFloat(string(text), 64)
			if err != nil || x != math.Trunc(x) || math.Abs(x) >= 1<<53 || reflect.Zero(p.Type).OverflowInt(int64(x)) {
				return cannot("NUMBER_VALUE", kind)
			}
			n = int64(x)
		}
		plan.Settle(v).SetInt(n)
	case awsapi.KindFloat, awsapi.KindDouble:
		n, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return cannot("NUMBER_VALUE", kind)
		}
		plan.Settle(v).SetFloat(n)
	case awsapi.KindTimestamp:
		seconds, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return cannot("NUMBER_VALUE", kind)
		}
		t, err := timestamp.FromEpoch(seconds)
		if err != nil {
			return &TypeError{"Invalid timestamp: " + string(text)}
		}
		plan.Settle(v).Set(reflect.ValueOf(t))
	default:
		return cannot("NUMBER_VALUE", kind)
	}
	return nil
}

// cannot is a scalar where another kind of value should be.
func cannot(token string, kind awsapi.Kind) error {
	names := map[awsapi.Kind]string{
		awsapi.KindString: "a String", awsapi.KindBoolean: "a Boolean", awsapi.KindInteger: "an Integer",
		awsapi.KindLong: "a Long", awsapi.KindFloat: "a Float", awsapi.KindDouble: "a Double",
		awsapi.KindTimestamp: "a Timestamp", awsapi.KindBlob: "a Blob",
	}
	if name, ok := names[kind]; ok {
		return &TypeError{token + " can not be converted to " + name}
	}
	return errField
}
