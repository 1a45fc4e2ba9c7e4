// Package plan joins shapes with the Go types that hold them, once per type, so that codecs walk both in step without
// looking up names. It must not know any wire form.
package plan

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"hotaru/awsapi"
	"hotaru/awsapi/pattern"
)

// Plan is a shape and the Go type of its values.
type Plan struct {
	Shape *awsapi.Shape
	Type  reflect.Type
	// Fields of a structure, in the model's order, and by place of travel.
	Fields     []Field
	Body       []*Field
	URI        []*Field
	Query      []*Field
	Header     []*Field
	Headers    []*Field
	StatusCode *Field
	// Payload is the field that is the whole body.
	Payload *Field
	// Events is the field that is an event stream, which is no part of Body.
	Events *Field
	// Element of a list; Key and Value of a map.
	Element, Key, Value *Field
	// Match satisfies the shape's pattern; nil where it has none. It compiles on first use.
	Match func(string) bool
	// Constrained says that this or something below it can violate the model.
	Constrained bool

	byName map[string]*Field
}

// Field is a place in a structure, list or map.
type Field struct {
	*awsapi.Member
	Plan *Plan
	// Index of the Go field.
	Index int
	// Wire is the member's name on the wire, a header's in its canonical form.
	Wire string
}

// ByWire finds a body member of a structure by its name on the wire.
func (p *Plan) ByWire(name []byte) *Field { return p.byName[string(name)] }

// Of returns the Go field of a structure's value.
func (f *Field) Of(structure reflect.Value) reflect.Value { return structure.Field(f.Index) }

// Format is the timestamp format that the place or the shape prescribes, or otherwise.
func (f *Field) Format(otherwise awsapi.TimestampFormat) awsapi.TimestampFormat {
	if f.Timestamp != awsapi.TimestampDefault {
		return f.Timestamp
	}
	if f.Plan.Shape.Timestamp != awsapi.TimestampDefault {
		return f.Plan.Shape.Timestamp
	}
	return otherwise
}

// Set makes the plans of one service and keeps them.
type Set struct {
	service *awsapi.Service

	mu    sync.Mutex
	plans map[key]*Plan
}

type key struct {
	shape awsapi.ShapeID
	typ   reflect.Type
}

// NewSet makes an empty set.
func NewSet(service *awsapi.Service) *Set {
	return &Set{service: service, plans: map[key]*Plan{}}
}

// Compile returns the plan of a shape held in a type. It fails where they do not fit: a programming error of
// whoever wrote the type.
func (s *Set) Compile(shape awsapi.ShapeID, typ reflect.Type) (*Plan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.compileLocked(shape, typ)
	if err != nil {
		return nil, err
	}
	constrain(p, map[*Plan]bool{})
	return p, nil
}

func (s *Set) compileLocked(id awsapi.ShapeID, typ reflect.Type) (*Plan, error) {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if p, ok := s.plans[key{id, typ}]; ok {
		return p, nil
	}
	shape := s.service.Shape(id)
	p := &Plan{Shape: shape, Type: typ}
	s.plans[key{id, typ}] = p
	var err error
	switch shape.Kind {
	case awsapi.KindStructure:
		err = s.structureLocked(p)
	case awsapi.KindList:
		p.Element, err = s.partLocked(shape.Element, typ)
	case awsapi.KindMap:
		if typ.Kind() == reflect.Map {
			p.Key, err = s.fieldLocked(shape.Key, typ.Key())
		}
		if err == nil {
			p.Value, err = s.partLocked(shape.Value, typ)
		}
	}
	if err != nil {
		delete(s.plans, key{id, typ})
		return nil, fmt.Errorf("%s: %w", shape.Name, err)
	}
	if shape.Pattern != "" {
		p.Match = s.matcher(shape)
	}
	return p, nil
}

func (s *Set) matcher(shape *awsapi.Shape) func(string) bool {
	match := sync.OnceValue(func() pattern.Matcher {
		m, err := pattern.Compile(s.service.Name, shape.Name, shape.Pattern)
		if err != nil {
			// The generator compiles every pattern, so only a hand-made service comes here.
			return func(string) bool { return true }
		}
		return m
	})
	return func(text string) bool { return match()(text) }
}

func (s *Set) structureLocked(p *Plan) error {
	if p.Type.Kind() != reflect.Struct {
		return fmt.Errorf("a structure is held in a %s", p.Type)
	}
	p.Fields = make([]Field, len(p.Shape.Members))
	p.byName = make(map[string]*Field, len(p.Shape.Members))
	for i := range p.Shape.Members {
		member := &p.Shape.Members[i]
		goField, ok := p.Type.FieldByName(strings.ToUpper(member.Name[:1]) + member.Name[1:])
		if !ok {
			return fmt.Errorf("%s has no field for %s", p.Type, member.Name)
		}
		f, err := s.fieldLocked(member, goField.Type)
		if err != nil {
			return err
		}
		p.Fields[i] = *f
		p.Fields[i].Index = goField.Index[0]
		p.place(&p.Fields[i])
	}
	return nil
}

func (p *Plan) place(f *Field) {
	switch f.Location {
	case awsapi.LocationURI:
		p.URI = append(p.URI, f)
	case awsapi.LocationQuery:
		p.Query = append(p.Query, f)
	case awsapi.LocationHeader:
		f.Wire = http.CanonicalHeaderKey(f.Wire)
		p.Header = append(p.Header, f)
	case awsapi.LocationHeaders:
		p.Headers = append(p.Headers, f)
	case awsapi.LocationStatusCode:
		p.StatusCode = f
	default:
		if f.Plan.Shape.EventStream {
			p.Events = f
			break
		}
		p.Body = append(p.Body, f)
		p.byName[f.Wire] = f
	}
	if f.Name == p.Shape.Payload {
		p.Payload = f
	}
}

// partLocked plans what a list or map holds.
func (s *Set) partLocked(member *awsapi.Member, container reflect.Type) (*Field, error) {
	if kind := container.Kind(); kind != reflect.Slice && kind != reflect.Map {
		return nil, fmt.Errorf("it is held in a %s", container)
	}
	return s.fieldLocked(member, container.Elem())
}

func (s *Set) fieldLocked(member *awsapi.Member, typ reflect.Type) (*Field, error) {
	f := &Field{Member: member, Wire: member.Wire()}
	if s.service.Shape(member.Shape).EventStream {
		events, err := s.eventsLocked(member.Shape, typ)
		f.Plan = events
		return f, err
	}
	var err error
	f.Plan, err = s.compileLocked(member.Shape, typ)
	return f, err
}

// eventsLocked plans an awsapi.Events[T] by its T.
func (s *Set) eventsLocked(id awsapi.ShapeID, typ reflect.Type) (*Plan, error) {
	if typ.Kind() != reflect.Func || !typ.Implements(reflect.TypeFor[awsapi.EventSequence]()) {
		return nil, fmt.Errorf("an event stream is held in a %s", typ)
	}
	return s.compileLocked(id, typ.In(0).In(0))
}

// constrain finds out which plans have anything to validate. A cycle counts as constrained: the walk ends with the
// value.
func constrain(p *Plan, open map[*Plan]bool) bool {
	if open[p] {
		return true
	}
	if p.Constrained {
		return true
	}
	open[p] = true
	defer delete(open, p)
	s := p.Shape
	found := s.Min != "" || s.Max != "" || s.Pattern != "" || len(s.Enum) > 0
	for i := range p.Fields {
		f := &p.Fields[i]
		found = constrain(f.Plan, open) || f.Required || found
	}
	for _, f := range []*Field{p.Element, p.Key, p.Value} {
		if f != nil {
			found = constrain(f.Plan, open) || found
		}
	}
	if found {
		// Plans of other operations may be read at this moment; one that is not constrained stays so and is not written.
		p.Constrained = true
	}
	return found
}
