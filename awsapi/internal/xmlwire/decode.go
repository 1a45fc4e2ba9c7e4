package xmlwire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
)

// maxDepth bounds nesting, so that hostile input cannot exhaust the stack.
const maxDepth = 500

// ErrMalformed says that a text is no XML or holds a value of another form than its type's.
var ErrMalformed = errors.New("malformed XML")

// Decode reads a document into v, which must be settable. The root's name does not matter, nor do namespaces; unknown
// elements are ignored.
func Decode(data []byte, f *plan.Field, v reflect.Value) error {
	r := &reader{xml.NewDecoder(bytes.NewReader(data)), 0}
	for {
		token, err := r.Token()
		if err != nil {
			return ErrMalformed
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if err := r.value(f, v, start); err != nil {
			return err
		}
		return r.end()
	}
}

type reader struct {
	*xml.Decoder
	depth int
}

// end reads what follows the root.
func (r *reader) end() error {
	for {
		token, err := r.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if _, more := token.(xml.StartElement); more || err != nil {
			return ErrMalformed
		}
	}
}

// children calls visit for each element inside the open one, up to its end.
func (r *reader) children(visit func(xml.StartElement) error) error {
	if r.depth++; r.depth > maxDepth {
		return ErrMalformed
	}
	defer func() { r.depth-- }()
	for {
		token, err := r.Token()
		if err != nil {
			return ErrMalformed
		}
		switch t := token.(type) {
		case xml.StartElement:
			if err := visit(t); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

func (r *reader) skip() error {
	if r.Skip() != nil {
		return ErrMalformed
	}
	return nil
}

func (r *reader) value(f *plan.Field, v reflect.Value, start xml.StartElement) error {
	switch f.Plan.Shape.Kind {
	case awsapi.KindStructure:
		return r.structure(f.Plan, plan.Settle(v), start)
	case awsapi.KindList:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		return r.children(func(child xml.StartElement) error { return r.appendTo(v, f.Plan.Element, child) })
	case awsapi.KindMap:
		v.Set(reflect.MakeMap(v.Type()))
		return r.children(func(child xml.StartElement) error { return r.entry(v, f.Plan) })
	}
	text, err := r.text()
	if err != nil {
		return err
	}
	if f.Plan.Shape.Kind != awsapi.KindString {
		text = strings.TrimSpace(text)
	}
	if err := f.ParseText(v, text, awsapi.TimestampISO8601); err != nil {
		return ErrMalformed
	}
	return nil
}

// text reads an element's character data; elements inside are ignored.
func (r *reader) text() (string, error) {
	var b strings.Builder
	for {
		token, err := r.Token()
		if err != nil {
			return "", ErrMalformed
		}
		switch t := token.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.StartElement:
			if err := r.skip(); err != nil {
				return "", err
			}
		case xml.EndElement:
			return b.String(), nil
		}
	}
}

func (r *reader) structure(p *plan.Plan, v reflect.Value, start xml.StartElement) error {
	for _, attribute := range start.Attr {
		for _, f := range p.Body {
			if _, local, found := strings.Cut(f.Wire, ":"); f.XMLAttribute && (f.Wire == attribute.Name.Local || found && local == attribute.Name.Local) {
				if f.ParseText(f.Of(v), attribute.Value, awsapi.TimestampISO8601) != nil {
					return ErrMalformed
				}
			}
		}
	}
	return r.children(func(child xml.StartElement) error {
		f := p.ByWire([]byte(child.Name.Local))
		switch {
		case f == nil || f.XMLAttribute:
			return r.skip()
		case f.Plan.Shape.Kind == awsapi.KindList && flattened(f):
			return r.appendTo(f.Of(v), f.Plan.Element, child)
		case f.Plan.Shape.Kind == awsapi.KindMap && flattened(f):
			if m := f.Of(v); m.IsNil() {
				m.Set(reflect.MakeMap(m.Type()))
			}
			return r.entry(f.Of(v), f.Plan)
		default:
			return r.value(f, f.Of(v), child)
		}
	})
}

func (r *reader) appendTo(list reflect.Value, element *plan.Field, start xml.StartElement) error {
	value := reflect.New(list.Type().Elem()).Elem()
	if err := r.value(element, value, start); err != nil {
		return err
	}
	list.Set(reflect.Append(list, value))
	return nil
}

// entry reads a key and a value up to the end of the element around them.
func (r *reader) entry(m reflect.Value, p *plan.Plan) error {
	keyName, valueName := EntryNames(p)
	key, found := "", false
	value := reflect.New(m.Type().Elem()).Elem()
	err := r.children(func(child xml.StartElement) (err error) {
		switch child.Name.Local {
		case keyName:
			found = true
			key, err = r.text()
			return err
		case valueName:
			return r.value(p.Value, value, child)
		default:
			return r.skip()
		}
	})
	if err != nil {
		return err
	}
	if !found {
		return ErrMalformed
	}
	m.SetMapIndex(reflect.ValueOf(key).Convert(m.Type().Key()), value)
	return nil
}
