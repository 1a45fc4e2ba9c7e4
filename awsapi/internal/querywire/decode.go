package querywire

import (
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/internal/xmlwire"
)

// ValueError says that a parameter has not the form of its type.
type ValueError struct{ Name string }

func (e *ValueError) Error() string { return "malformed value of " + e.Name }

// Decode fills a structure. Unknown parameters are ignored.
func (f *Form) Decode(p *plan.Plan, v reflect.Value) error { return structure(&f.root, p, v) }

func structure(n *node, p *plan.Plan, v reflect.Value) error {
	for i := range p.Fields {
		f := &p.Fields[i]
		c, ok := n.children[f.Wire]
		if !ok {
			if c, ok = flattenedByElement(n, f); !ok {
				continue
			}
		}
		if err := value(c, f, f.Of(v)); err != nil {
			return err
		}
	}
	return nil
}

// flattenedByElement finds a flattened list whose element's name stands in the place of its own.
func flattenedByElement(n *node, f *plan.Field) (*node, bool) {
	if f.Plan.Shape.Kind != awsapi.KindList || !flattened(f) || f.Plan.Element.WireName == "" {
		return nil, false
	}
	c, ok := n.children[f.Plan.Element.WireName]
	return c, ok
}

func flattened(f *plan.Field) bool { return f.Flattened || f.Plan.Shape.Flattened }

func value(n *node, f *plan.Field, v reflect.Value) error {
	switch f.Plan.Shape.Kind {
	case awsapi.KindStructure:
		return structure(n, f.Plan, plan.Settle(v))
	case awsapi.KindList:
		return list(n, f, v)
	case awsapi.KindMap:
		return mapping(n, f, v)
	}
	if !n.set {
		return nil
	}
	if !utf8.ValidString(n.value) {
		return &ValueError{f.Wire}
	}
	if err := f.ParseText(v, n.value, awsapi.TimestampISO8601); err != nil {
		return &ValueError{f.Wire}
	}
	return nil
}

// list reads Name.member.N, Name.N where it is flattened, and Name= for an empty one.
func list(n *node, f *plan.Field, v reflect.Value) error {
	inner := "member"
	if name := f.Plan.Element.WireName; name != "" {
		inner = name
	}
	entries := n
	if !flattened(f) {
		if entries = n.children[inner]; entries == nil {
			entries = &node{}
		}
	}
	numbered := entries.numbered()
	slice := reflect.MakeSlice(v.Type(), len(numbered), len(numbered))
	for i, c := range numbered {
		if err := value(c, f.Plan.Element, slice.Index(i)); err != nil {
			return err
		}
	}
	v.Set(slice)
	return nil
}

// mapping reads Name.entry.N.key and .value, or Name.N.key where it is flattened.
func mapping(n *node, f *plan.Field, v reflect.Value) error {
	entries := n
	if !flattened(f) {
		if entries = n.children["entry"]; entries == nil {
			entries = &node{}
		}
	}
	keyName, valueName := xmlwire.EntryNames(f.Plan)
	m := reflect.MakeMap(v.Type())
	for _, c := range entries.numbered() {
		k, ok := c.children[keyName]
		if !ok || !k.set || !utf8.ValidString(k.value) {
			return &ValueError{f.Wire}
		}
		element := reflect.New(v.Type().Elem()).Elem()
		if c := c.children[valueName]; c != nil {
			if err := value(c, f.Plan.Value, element); err != nil {
				return err
			}
		}
		m.SetMapIndex(reflect.ValueOf(k.value).Convert(v.Type().Key()), element)
	}
	v.Set(m)
	return nil
}

// numbered are the children with a number for a name, in the order of the numbers, whatever gaps they have.
func (n *node) numbered() []*node {
	type entry struct {
		number int
		node   *node
	}
	var entries []entry
	for _, name := range n.order {
		if number, err := strconv.Atoi(name); err == nil && number >= 0 {
			entries = append(entries, entry{number, n.children[name]})
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return a.number - b.number })
	nodes := make([]*node, len(entries))
	for i, e := range entries {
		nodes[i] = e.node
	}
	return nodes
}
