// Package xmlwire reads and writes XML bodies by plan, for the query and rest-xml protocols. It must not know HTTP.
package xmlwire

import (
	"reflect"
	"sort"
	"unicode/utf8"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
)

// Open appends a start tag; a namespace is optional.
func Open(b []byte, name, namespace string) []byte {
	b = append(append(b, '<'), name...)
	if namespace != "" {
		b = append(AppendText(append(b, ` xmlns="`...), namespace), '"')
	}
	return append(b, '>')
}

// Close appends an end tag.
func Close(b []byte, name string) []byte {
	return append(append(append(b, '<', '/'), name...), '>')
}

// AppendElement appends an element that holds text alone.
func AppendElement(b []byte, name, text string) []byte {
	return Close(AppendText(Open(b, name, ""), text), name)
}

// AppendText appends character data or an attribute's value. What XML cannot carry becomes the replacement character.
func AppendText(b []byte, text string) []byte {
	for _, r := range text {
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '"':
			b = append(b, "&quot;"...)
		case r == '\r':
			b = append(b, "&#xD;"...)
		case r == '\n' || r == '\t' || r >= ' ' && r != utf8.RuneError && r != 0xFFFE && r != 0xFFFF:
			b = utf8.AppendRune(b, r)
		default:
			b = utf8.AppendRune(b, utf8.RuneError)
		}
	}
	return b
}

// AppendMembers appends the body members of a structure, without its own tags.
func AppendMembers(b []byte, p *plan.Plan, v reflect.Value) []byte {
	for _, f := range p.Body {
		if f.XMLAttribute {
			continue
		}
		if member, ok := plan.Present(f.Of(v)); ok {
			b = AppendField(b, f, f.Wire, member)
		}
	}
	return b
}

// AppendField appends a value in an element of the given name; v has been followed with plan.Present.
func AppendField(b []byte, f *plan.Field, name string, v reflect.Value) []byte {
	switch f.Plan.Shape.Kind {
	case awsapi.KindStructure:
		b = start(b, f, name, v)
		b = AppendMembers(b, f.Plan, v)
		return Close(b, name)
	case awsapi.KindList:
		return list(b, f, name, v)
	case awsapi.KindMap:
		return mapping(b, f, name, v)
	case awsapi.KindString:
		b = start(b, f, name, v)
		return Close(AppendText(b, v.String()), name)
	default:
		b = start(b, f, name, v)
		return Close(f.AppendText(b, v, awsapi.TimestampISO8601), name)
	}
}

// start appends a start tag with the place's namespace and the structure's attributes.
func start(b []byte, f *plan.Field, name string, v reflect.Value) []byte {
	b = append(append(b, '<'), name...)
	if namespace := f.XMLNamespace; namespace != "" {
		b = append(b, " xmlns"...)
		if f.XMLPrefix != "" {
			b = append(append(b, ':'), f.XMLPrefix...)
		}
		b = append(AppendText(append(b, `="`...), namespace), '"')
	}
	if f.Plan.Shape.Kind == awsapi.KindStructure {
		for _, attribute := range f.Plan.Body {
			if !attribute.XMLAttribute {
				continue
			}
			if value, ok := plan.Present(attribute.Of(v)); ok {
				b = append(append(append(b, ' '), attribute.Wire...), `="`...)
				b = append(AppendText(b, string(attribute.AppendText(nil, value, awsapi.TimestampISO8601))), '"')
			}
		}
	}
	return append(b, '>')
}

// flattened says whether a list or map has no element around its entries.
func flattened(f *plan.Field) bool { return f.Flattened || f.Plan.Shape.Flattened }

func list(b []byte, f *plan.Field, name string, v reflect.Value) []byte {
	element, inner := f.Plan.Element, "member"
	if element.WireName != "" {
		inner = element.WireName
	}
	flat := flattened(f)
	if flat {
		inner = name
	} else {
		b = start(b, f, name, v)
	}
	for i := range v.Len() {
		b = entry(b, element, inner, v.Index(i))
	}
	if !flat {
		b = Close(b, name)
	}
	return b
}

// mapping writes a map in the order of its keys, so that answers are the same each time.
func mapping(b []byte, f *plan.Field, name string, v reflect.Value) []byte {
	flat, inner := flattened(f), "entry"
	if flat {
		inner = name
	} else {
		b = start(b, f, name, v)
	}
	keyName, valueName := EntryNames(f.Plan)
	keys := v.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	for _, key := range keys {
		if flat {
			b = start(b, f, inner, v)
		} else {
			b = Open(b, inner, "")
		}
		b = AppendField(b, f.Plan.Key, keyName, key)
		b = entry(b, f.Plan.Value, valueName, v.MapIndex(key))
		b = Close(b, inner)
	}
	if !flat {
		b = Close(b, name)
	}
	return b
}

// EntryNames are the element names of a map's keys and values.
func EntryNames(p *plan.Plan) (key, value string) {
	key, value = "key", "value"
	if p.Key.WireName != "" {
		key = p.Key.WireName
	}
	if p.Value.WireName != "" {
		value = p.Value.WireName
	}
	return key, value
}

// entry writes one element of a list or map; nothing in its place makes an empty element.
func entry(b []byte, f *plan.Field, name string, v reflect.Value) []byte {
	if present, ok := plan.Present(v); ok {
		return AppendField(b, f, name, present)
	}
	return Close(Open(b, name, ""), name)
}
