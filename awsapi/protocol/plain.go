package protocol

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/jsonwire"
	"hotaru/awsapi/internal/xmlwire"
)

// member is a named value, in the order and with the name of the wire.
type member struct {
	name  string
	value any
}

// wireValue gives an error's member the names of its shape. What comes in is plain (text, numbers, booleans, maps,
// slices) or a generated type; what comes out is a text, number, boolean, []any or []member. It is not ok where there
// is nothing.
func wireValue(service *awsapi.Service, id awsapi.ShapeID, v reflect.Value) (any, bool) {
	if !v.IsValid() {
		return nil, false
	}
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil, false
		}
		v = v.Elem()
	}
	shape := service.Shape(id)
	switch {
	case shape.Kind == awsapi.KindStructure && (v.Kind() == reflect.Map || v.Kind() == reflect.Struct):
		members := []member{}
		for i := range shape.Members {
			m := &shape.Members[i]
			var field reflect.Value
			if v.Kind() == reflect.Map {
				field = v.MapIndex(reflect.ValueOf(m.Name))
			} else {
				field = v.FieldByName(strings.ToUpper(m.Name[:1]) + m.Name[1:])
			}
			if !field.IsValid() {
				continue
			}
			if value, ok := wireValue(service, m.Shape, field); ok {
				members = append(members, member{m.Wire(), value})
			}
		}
		return members, true
	case shape.Kind == awsapi.KindMap && v.Kind() == reflect.Map:
		members := []member{}
		for _, key := range sortedKeys(v) {
			if value, ok := wireValue(service, shape.Value.Shape, v.MapIndex(key)); ok {
				members = append(members, member{key.String(), value})
			}
		}
		return members, true
	case shape.Kind == awsapi.KindList && v.Kind() == reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			if value, ok := wireValue(service, shape.Element.Shape, v.Index(i)); ok {
				list = append(list, value)
			}
		}
		return list, true
	default:
		return v.Interface(), true
	}
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
	case []any:
		b = append(b, '[')
		for i, element := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendWireJSON(b, element)
		}
		return append(b, ']')
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
	case []any:
		b = xmlwire.Open(b, name, "")
		for _, element := range v {
			b = appendWireXML(b, "member", element)
		}
		return xmlwire.Close(b, name)
	default:
		return xmlwire.AppendElement(b, name, plainText(v))
	}
}

// plainText is a scalar as text.
func plainText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	default:
		return fmt.Sprint(v)
	}
}
