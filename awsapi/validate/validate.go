// Package validate checks inputs against the service model and reports every violation in one answer, in AWS's own
// words. It must not know what the service itself demands beyond its model: that is the service's second layer.
package validate

import (
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
)

// Input answers nil, or one error that lists all violations in the order of the model. The protocol that the request
// came in decides the error's code.
func Input(service *awsapi.Service, protocol awsapi.Protocol, p *plan.Plan, input reflect.Value) error {
	if !p.Constrained {
		return nil
	}
	c := checker{service: service}
	c.structure(p, input, "")
	if len(c.violations) == 0 {
		return nil
	}
	code, plural := "ValidationException", ""
	if protocol == awsapi.ProtocolQuery {
		code = "ValidationError"
	}
	if own := c.quirks().code; own != "" {
		code = own
	}
	if len(c.violations) > 1 {
		plural = "s"
	}
	return awsapi.Errorf(code, "%d validation error%s detected: %s", len(c.violations), plural,
		strings.Join(c.violations, "; "))
}

type checker struct {
	service    *awsapi.Service
	violations []string
}

func (c *checker) structure(p *plan.Plan, v reflect.Value, path string) {
	name := c.quirks().last[p.Shape.Name]
	var last *plan.Field
	for i := range p.Fields {
		if f := &p.Fields[i]; f.Name != name {
			c.member(p, f, v, path)
		} else {
			last = f
		}
	}
	if last != nil {
		c.member(p, last, v, path)
	}
}

func (c *checker) member(p *plan.Plan, f *plan.Field, v reflect.Value, path string) {
	if !f.Required && !f.Plan.Constrained {
		return
	}
	value, ok := plan.Present(f.Of(v))
	switch {
	case ok && f.Plan.Constrained && !c.quirks().later[p.Shape.Name+"."+f.Name]:
		c.value(f.Plan, value, join(path, f.Name))
	case !ok && f.Required:
		c.violate(f.Plan, "null", join(path, f.Name), "Member must not be null")
	}
}

// join makes a member's path: memberNames start in lower case.
func join(path, name string) string {
	name = strings.ToLower(name[:1]) + name[1:]
	if path == "" {
		return name
	}
	return path + "." + name
}

func (c *checker) violate(p *plan.Plan, value, path, constraint string) {
	shown := " " + value
	if p.Shape.Sensitive && value != "null" {
		shown = ""
	}
	c.violations = append(c.violations,
		fmt.Sprintf("Value%s at '%s' failed to satisfy constraint: %s", shown, path, constraint))
}

func (c *checker) value(p *plan.Plan, v reflect.Value, path string) {
	for _, broken := range c.broken(p, v) {
		c.violate(p, "'"+show(p, v)+"'", path, broken)
	}
	switch p.Shape.Kind {
	case awsapi.KindStructure:
		c.structure(p, v, path)
	case awsapi.KindList:
		c.list(p, v, path)
	case awsapi.KindMap:
		c.mapping(p, v, path)
	}
}

// list reports scalars together, as the whole list, and anything else by position.
func (c *checker) list(p *plan.Plan, v reflect.Value, path string) {
	element := p.Element.Plan
	if !element.Constrained {
		return
	}
	if !scalar(element) {
		for i := range v.Len() {
			if value, ok := plan.Present(v.Index(i)); ok {
				c.value(element, value, path+"."+strconv.Itoa(i+1)+".member")
			}
		}
		return
	}
	for i := range v.Len() {
		value, ok := plan.Present(v.Index(i))
		if ok && len(c.broken(element, value)) > 0 {
			c.violate(p, "'"+show(p, v)+"'", path, c.elementConstraint(p))
			return
		}
	}
}

func (c *checker) mapping(p *plan.Plan, v reflect.Value, path string) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	key, value := p.Key.Plan, p.Value.Plan
	if slices.ContainsFunc(keys, func(k reflect.Value) bool { return len(c.broken(key, k)) > 0 }) {
		c.violate(p, "'"+show(p, v)+"'", path, "Map keys must satisfy constraint: ["+c.all(key)+"]")
	}
	if !value.Constrained {
		return
	}
	for _, k := range keys {
		entry, ok := plan.Present(v.MapIndex(k))
		switch {
		case !ok:
		case !scalar(value):
			c.value(value, entry, path+"."+k.String()+".member")
		case len(c.broken(value, entry)) > 0:
			c.violate(p, "'"+show(p, v)+"'", path, "Map value must satisfy constraint: ["+c.all(value)+"]")
			return
		}
	}
}

func scalar(p *plan.Plan) bool {
	switch p.Shape.Kind {
	case awsapi.KindStructure, awsapi.KindList, awsapi.KindMap:
		return false
	default:
		return true
	}
}

// broken are the constraints of the shape itself that the value violates: upper bound, lower bound, pattern, enum.
func (c *checker) broken(p *plan.Plan, v reflect.Value) []string {
	s := p.Shape
	var out []string
	if s.Max != "" || s.Min != "" {
		size, numeric := measure(p, v)
		if s.Max != "" && above(size, s.Max) {
			out = append(out, bound(numeric, "less", s.Max))
		}
		if s.Min != "" && above(s.Min, size) {
			out = append(out, bound(numeric, "greater", s.Min))
		}
	}
	if v.Kind() != reflect.String {
		return out
	}
	if s.Pattern != "" && p.Match != nil && !p.Match(v.String()) {
		out = append(out, "Member must satisfy regular expression pattern: "+c.quirks().pattern(s))
	}
	if len(s.Enum) > 0 && !slices.Contains(p.Shape.Enum, v.String()) {
		out = append(out, c.enumSet(s))
	}
	return out
}

// all are the words of every constraint of a shape.
func (c *checker) all(p *plan.Plan) string {
	s := p.Shape
	var out []string
	numeric := p.Shape.Kind >= awsapi.KindInteger && p.Shape.Kind <= awsapi.KindDouble
	if s.Max != "" {
		out = append(out, bound(numeric, "less", s.Max))
	}
	if s.Min != "" {
		out = append(out, bound(numeric, "greater", s.Min))
	}
	if s.Pattern != "" {
		out = append(out, "Member must satisfy regular expression pattern: "+c.quirks().pattern(s))
	}
	if len(s.Enum) > 0 {
		out = append(out, c.enumSet(s))
	}
	return strings.Join(out, ", ")
}

// elementConstraint is how a list of scalars speaks of its elements.
func (c *checker) elementConstraint(list *plan.Plan) string {
	q := c.quirks()
	words := c.all(list.Element.Plan)
	if fixed, ok := q.lists[list.Shape.Name]; ok {
		if fixed.enum != nil {
			return "Member must satisfy enum value set: [" + strings.Join(fixed.enum, ", ") + "]"
		}
		return "Member must satisfy constraint: [" + words + "]"
	}
	if q.elementsNotNull {
		words += ", Member must not be null"
	}
	return "Member must satisfy constraint: [" + words + "]"
}

func bound(numeric bool, direction, limit string) string {
	what := "length"
	if numeric {
		what = "value"
	}
	return "Member must have " + what + " " + direction + " than or equal to " + limit
}

func (c *checker) enumSet(s *awsapi.Shape) string {
	return "Member must satisfy enum value set: [" + strings.Join(c.quirks().enum(s), ", ") + "]"
}

// measure is a value's size: its length, its number of entries, or itself.
func measure(p *plan.Plan, v reflect.Value) (size string, numeric bool) {
	switch p.Shape.Kind {
	case awsapi.KindString:
		return strconv.Itoa(length(v.String())), false
	case awsapi.KindBlob, awsapi.KindList, awsapi.KindMap:
		if v.Kind() != reflect.Slice && v.Kind() != reflect.Map {
			return "", false
		}
		return strconv.Itoa(v.Len()), false
	case awsapi.KindInteger, awsapi.KindLong:
		return strconv.FormatInt(v.Int(), 10), true
	case awsapi.KindFloat, awsapi.KindDouble:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64), true
	default:
		return "", false
	}
}

// length counts as Java does: in UTF-16 units.
func length(text string) int {
	n := 0
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}

// above says whether a > b. What cannot be compared, such as NaN or the size of a stream, is not.
func above(a, b string) bool {
	if x, err := strconv.ParseInt(a, 10, 64); err == nil {
		if y, err := strconv.ParseInt(b, 10, 64); err == nil {
			return x > y
		}
	}
	x, okX := new(big.Float).SetString(a)
	y, okY := new(big.Float).SetString(b)
	return okX && okY && x.Cmp(y) > 0
}
