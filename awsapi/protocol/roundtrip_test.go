package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/cborwire"
	"hotaru/awsapi/internal/jsonwire"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/internal/xmlwire"
)

// Any value of any shape must come back as it was, from every codec that both writes and reads.

// drawer draws shapes and the Go types and values that fit them.
type drawer struct {
	*rapid.T
	service *awsapi.Service
	// xml leaves out what XML has no form for: nothing in a list, documents, control characters.
	xml bool
}

var scalarKinds = map[awsapi.Kind]reflect.Type{
	awsapi.KindString: reflect.TypeFor[string](), awsapi.KindBoolean: reflect.TypeFor[bool](), awsapi.KindInteger: reflect.TypeFor[int32](),
	awsapi.KindLong: reflect.TypeFor[int64](), awsapi.KindDouble: reflect.TypeFor[float64](), awsapi.KindTimestamp: reflect.TypeFor[time.Time](),
	awsapi.KindBlob: reflect.TypeFor[[]byte](), awsapi.KindDocument: reflect.TypeFor[json.RawMessage](),
}

func (d *drawer) shape(depth int) (awsapi.ShapeID, reflect.Type) {
	kinds := []awsapi.Kind{awsapi.KindString, awsapi.KindBoolean, awsapi.KindInteger, awsapi.KindLong, awsapi.KindDouble,
		awsapi.KindTimestamp, awsapi.KindBlob}
	if depth > 0 {
		kinds = append(kinds, awsapi.KindList, awsapi.KindMap, awsapi.KindStructure)
	}
	return d.kind(rapid.SampledFrom(kinds).Draw(d.T, "kind"), depth)
}

func (d *drawer) kind(kind awsapi.Kind, depth int) (awsapi.ShapeID, reflect.Type) {
	s := awsapi.Shape{Name: "S", Kind: kind}
	typ := scalarKinds[kind]
	switch kind {
	case awsapi.KindTimestamp:
		s.Timestamp = rapid.SampledFrom([]awsapi.TimestampFormat{awsapi.TimestampDefault, awsapi.TimestampEpoch,
			awsapi.TimestampISO8601, awsapi.TimestampHTTP}).Draw(d.T, "format")
	case awsapi.KindList:
		id, element := d.shape(depth - 1)
		s.Element = &awsapi.Member{Shape: id, WireName: rapid.SampledFrom([]string{"", "item"}).Draw(d.T, "element")}
		s.Sparse = !d.xml && rapid.Bool().Draw(d.T, "sparse")
		typ = reflect.SliceOf(orPointer(element, s.Sparse))
	case awsapi.KindMap:
		key, _ := d.kind(awsapi.KindString, 0)
		id, value := d.shape(depth - 1)
		s.Key, s.Value = &awsapi.Member{Shape: key}, &awsapi.Member{Shape: id}
		if rapid.Bool().Draw(d.T, "named entries") {
			s.Key.WireName, s.Value.WireName = "Name", "Content"
		}
		s.Sparse = !d.xml && rapid.Bool().Draw(d.T, "sparse")
		typ = reflect.MapOf(reflect.TypeFor[string](), orPointer(value, s.Sparse))
	case awsapi.KindStructure:
		typ = d.members(&s, depth)
	}
	d.service.Shapes = append(d.service.Shapes, s)
	return awsapi.ShapeID(len(d.service.Shapes) - 1), typ
}

func orPointer(typ reflect.Type, is bool) reflect.Type {
	if is && typ.Kind() != reflect.Slice && typ.Kind() != reflect.Map {
		return reflect.PointerTo(typ)
	}
	return typ
}

func (d *drawer) members(s *awsapi.Shape, depth int) reflect.Type {
	var fields []reflect.StructField
	for i := range rapid.IntRange(0, 5).Draw(d.T, "members") {
		id, typ := d.shape(depth - 1)
		name := "M" + strconv.Itoa(i)
		m := awsapi.Member{Name: name, Shape: id, WireName: rapid.SampledFrom([]string{"", "m" + strconv.Itoa(i)}).Draw(d.T, "name")}
		switch kind := d.service.Shapes[id].Kind; kind {
		case awsapi.KindList, awsapi.KindMap:
			m.Flattened = d.xml && rapid.Bool().Draw(d.T, "flattened")
		case awsapi.KindString, awsapi.KindInteger, awsapi.KindBoolean:
			m.XMLAttribute = d.xml && rapid.Bool().Draw(d.T, "attribute")
		}
		s.Members = append(s.Members, m)
		fields = append(fields, reflect.StructField{Name: name, Type: orPointer(typ, true)})
	}
	return reflect.StructOf(fields)
}

// fill draws a value into v.
func (d *drawer) fill(f *plan.Field, v reflect.Value) {
	shape := f.Plan.Shape
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch shape.Kind {
	case awsapi.KindStructure:
		for i := range f.Plan.Fields {
			if rapid.Bool().Draw(d.T, "present") {
				d.fill(&f.Plan.Fields[i], f.Plan.Fields[i].Of(v))
			}
		}
	case awsapi.KindList:
		n := d.length(f)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			if !shape.Sparse || rapid.Bool().Draw(d.T, "something") {
				d.fill(f.Plan.Element, v.Index(i))
			}
		}
	case awsapi.KindMap:
		v.Set(reflect.MakeMap(v.Type()))
		for range d.length(f) {
			value := reflect.New(v.Type().Elem()).Elem()
			if !shape.Sparse || rapid.Bool().Draw(d.T, "something") {
				d.fill(f.Plan.Value, value)
			}
			v.SetMapIndex(reflect.ValueOf(d.text()), value)
		}
	case awsapi.KindTimestamp:
		v.Set(reflect.ValueOf(d.time(shape.Timestamp)))
	default:
		d.scalar(shape.Kind, v)
	}
}

// length is a list's or map's; a flattened one that is empty has no form.
func (d *drawer) length(f *plan.Field) int {
	least := 0
	if f.Flattened {
		least = 1
	}
	return rapid.IntRange(least, 3).Draw(d.T, "length")
}

func (d *drawer) text() string {
	if !d.xml {
		return rapid.String().Draw(d.T, "text")
	}
	runes := rapid.RuneFrom([]rune{'<', '>', '&', '"', '\'', '\n', '\t', '\r', ' '}, unicode.L, unicode.N, unicode.P, unicode.Sm)
	return rapid.StringOf(runes).Draw(d.T, "text")
}

func (d *drawer) time(format awsapi.TimestampFormat) time.Time {
	ms := rapid.Int64Range(-62135596800000, 253402300799999).Draw(d.T, "ms")
	if format == awsapi.TimestampHTTP {
		ms -= ms % 1000
	}
	return time.UnixMilli(ms).UTC()
}

func (d *drawer) scalar(kind awsapi.Kind, v reflect.Value) {
	switch kind {
	case awsapi.KindString:
		v.SetString(d.text())
	case awsapi.KindBoolean:
		v.SetBool(rapid.Bool().Draw(d.T, "boolean"))
	case awsapi.KindInteger:
		v.SetInt(int64(rapid.Int32().Draw(d.T, "integer")))
	case awsapi.KindLong:
		v.SetInt(rapid.Int64().Draw(d.T, "long"))
	case awsapi.KindDouble:
		n := rapid.Float64().Draw(d.T, "double")
		v.SetFloat(rapid.SampledFrom([]float64{n, math.Trunc(n), math.Inf(1), math.Inf(-1), math.NaN()}).Draw(d.T, "special"))
	case awsapi.KindBlob:
		v.SetBytes(rapid.SliceOf(rapid.Byte()).Draw(d.T, "blob"))
	}
}

// codecs write a structure and read it back.
var codecs = map[string]struct {
	xml   bool
	write func(*plan.Field, reflect.Value) []byte
	read  func([]byte, *plan.Field, reflect.Value) error
}{
	"json": {false, func(f *plan.Field, v reflect.Value) []byte { return epochEncoder.AppendStructure(nil, f.Plan, v) },
		func(b []byte, f *plan.Field, v reflect.Value) error { return epochDecoder.Decode(b, f, v) }},
	"cbor": {false, func(f *plan.Field, v reflect.Value) []byte { return cborwire.AppendStructure(nil, f.Plan, v) }, cborwire.Decode},
	"xml": {true, func(f *plan.Field, v reflect.Value) []byte { return xmlwire.AppendField(nil, f, "Root", v) },
		xmlwire.Decode},
}

func roundTrip(codec string) func(*rapid.T) {
	c := codecs[codec]
	return func(t *rapid.T) {
		d := &drawer{T: t, service: &awsapi.Service{Shapes: []awsapi.Shape{{}}}, xml: c.xml}
		id, typ := d.kind(awsapi.KindStructure, 3)
		p, err := plan.NewSet(d.service).Compile(id, typ)
		if err != nil {
			t.Fatal(err)
		}
		place := whole(p)
		want := reflect.New(typ).Elem()
		d.fill(place, want)
		encoded := c.write(place, want)
		if codec == "json" {
			if err := jsonwire.Valid(encoded); err != nil || !json.Valid(encoded) {
				t.Fatalf("%s is no JSON: %v", encoded, err)
			}
		}
		got := reflect.New(typ).Elem()
		if err := c.read(encoded, place, got); err != nil {
			t.Fatalf("%v in %q", err, encoded)
		}
		if diff := cmp.Diff(want.Interface(), got.Interface(), cmpopts.EquateNaNs()); diff != "" {
			t.Fatalf("%q (-want +got)\n%s", encoded, diff)
		}
		if again := c.write(place, got); !bytes.Equal(again, encoded) && codec != "xml" {
			t.Fatalf("%q is written again as %q", encoded, again)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for name := range codecs {
		t.Run(name, func(t *testing.T) { rapid.Check(t, roundTrip(name)) })
	}
}

// FuzzRoundTrip drives the same by the fuzzer's bytes: the first chooses the codec, the others all that is drawn.
func FuzzRoundTrip(f *testing.F) {
	names := []string{"json", "cbor", "xml"}
	for i := range names {
		f.Add(fmt.Append([]byte{byte(i)}, "any bytes will do, because every draw takes eight of them in turn until none is left"))
	}
	properties := map[string]func(*testing.T, []byte){}
	for _, name := range names {
		properties[name] = rapid.MakeFuzz(roundTrip(name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 0 {
			properties[names[int(data[0])%len(names)]](t, data[1:])
		}
	})
}
