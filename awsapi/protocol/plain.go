package protocol

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/jsonwire"
	"hotaru/awsapi/internal/timestamp"
	"hotaru/awsapi/internal/xmlwire"
)

// member is a named value, in the order and with the name of the wire.
type member struct {
	name  string
	value any
}

// listing and mapping are a list and a map with the names that XML gives their parts.
type listing struct {
	items   []any
	element string
	flat    bool
}

type mapping struct {
	entries    []member
	key, value string
	flat       bool
}

// wireValue gives an error's member the names of its shape. What comes in is plain (text, numbers, booleans, maps,
// slices) or a generated type; what comes out is a text, number, boolean, time, []byte, listing, mapping or []member.
// It is not ok where there is nothing.
func wireValue(service *awsapi.Service, m *awsapi.Member, v reflect.Value) (any, bool) {
	if !v.IsValid() {
		return nil, false
	}
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil, false
		}
		v = v.Elem()
	}
	if (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.IsNil() {
		return nil, false
	}
	shape := service.Shape(m.Shape)
	flat := m.Flattened || shape.Flattened
	switch {
	case shape.Kind == awsapi.KindStructure && (v.Kind() == reflect.Map || v.Kind() == reflect.Struct):
		return wireMembers(service, shape, v), true
	case shape.Kind == awsapi.KindMap && v.Kind() == reflect.Map:
		all := mapping{key: orName(shape.Key, "key"), value: orName(shape.Value, "value"), flat: flat}
		for _, key := range sortedKeys(v) {
			if value, ok := wireValue(service, shape.Value, v.MapIndex(key)); ok {
				all.entries = append(all.entries, member{key.String(), value})
			}
		}
		return all, true
	case shape.Kind == awsapi.KindList && v.Kind() == reflect.Slice:
		all := listing{element: orName(shape.Element, "member"), flat: flat}
		for i := range v.Len() {
			if value, ok := wireValue(service, shape.Element, v.Index(i)); ok {
				all.items = append(all.items, value)
			}
		}
		return all, true
	default:
		return v.Interface(), true
	}
}

func wireMembers(service *awsapi.Service, shape *awsapi.Shape, v reflect.Value) []member {
	members := []member{}
	for i := range shape.Members {
		m := &shape.Members[i]
		var field reflect.Value
		if v.Kind() == reflect.Map {
			field = v.MapIndex(reflect.ValueOf(m.Name))
		} else {
			field = v.FieldByName(strings.ToUpper(m.Name[:1]) + m.Name[1:])
		}
		if value, ok := wireValue(service, m, field); ok {
			members = append(members, member{m.Wire(), value})
		}
	}
	return members
}

func orName(m *awsapi.Member, otherwise string) string {
	if m.WireName != "" {
		return m.WireName
	}
	return otherwise
}

func appendWireJSON(b []byte, value any) []byte {
	switch v := value.(type) {
	case []member:
		b = append(b, '{')
		for _, m := range v {
			b = append(jsonwire.AppendString(comma(b), m.name), ':')
			b = appendWireJSON(b, m.value)
		}
		return append(b, '}')
	case mapping:
		return appendWireJSON(b, v.entries)
	case listing:
		b = append(b, '[')
		for i, element := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendWireJSON(b, element)
		}
		return append(b, ']')
	case time.Time:
		return timestamp.AppendText(b, v, awsapi.TimestampEpoch)
	default:
		return jsonwire.AppendAny(b, v)
	}
}

func appendWireXML(b []byte, name string, value any) []byte {
	switch v := value.(type) {
	case []member:
		b = xmlwire.Open(b, name, "")
		for _, m := range v {
			b = appendWireXML(b, m.name, m.value)
		}
		return xmlwire.Close(b, name)
	case mapping:
		return around(b, name, "entry", v.flat, len(v.entries), func(b []byte, i int, inner string) []byte {
			entry := []member{{v.key, v.entries[i].name}, {v.value, v.entries[i].value}}
			return appendWireXML(b, inner, entry)
		})
	case listing:
		return around(b, name, v.element, v.flat, len(v.items), func(b []byte, i int, inner string) []byte {
			return appendWireXML(b, inner, v.items[i])
		})
	default:
		return xmlwire.AppendElement(b, name, plainText(v))
	}
}

// around writes n entries in elements of the inner name within one of the outer, or flat: each in one of the outer.
func around(b []byte, outer, inner string, flat bool, n int, entry func(b []byte, i int, name string) []byte) []byte {
	if flat {
		inner = outer
	} else {
		b = xmlwire.Open(b, outer, "")
	}
	for i := range n {
		b = entry(b, i, inner)
	}
	if !flat {
		b = xmlwire.Close(b, outer)
	}
	return b
}

// plainText is a scalar as text.
func plainText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return string(timestamp.AppendText(nil, v, awsapi.TimestampISO8601))
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	default:
		return fmt.Sprint(v)
	}
}
