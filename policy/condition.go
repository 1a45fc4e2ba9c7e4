package policy

import (
	"encoding/json"
	"slices"
	"strings"
)

// condition is one operator with one key and its values: "StringLike": {"aws:username": ["a*", "b"]}.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
type condition struct {
	operator
	// key is in lower case: IAM does not tell cases apart.
	key    string
	values []operand
}

// operator is an operator's name, taken apart.
type operator struct {
	// null: the condition is about the key's presence alone.
	null bool
	// negated: the condition holds where no value matches.
	negated bool
	// ifExists: the condition holds where the request has no such key.
	ifExists bool
	// quantifier is for keys with many values.
	quantifier quantifier
	// read makes an operand of a value in the document.
	read func(text string, variables bool) operand
}

type quantifier uint8

const (
	single quantifier = iota
	forAll
	forAny
)

// operand is what a key's value is compared with. known is false where that depends on a variable without a value.
type operand interface {
	match(value string, r *Request) (matched, known bool)
}

// parseConditions reads operator -> key -> value or values. All of them must hold.
func parseConditions(raw json.RawMessage, variables bool) ([]condition, bool) {
	operators, ok := object(raw)
	if !ok {
		return nil, false
	}
	var conditions []condition
	for name, raw := range operators {
		op, ok := parseOperator(name)
		keys, isObject := object(raw)
		if !ok || !isObject {
			return nil, false
		}
		for key, raw := range keys {
			texts, ok := scalars(raw)
			if !ok {
				return nil, false
			}
			c := condition{operator: op, key: lower(key)}
			for _, text := range texts {
				c.values = append(c.values, op.read(text, variables))
			}
			conditions = append(conditions, c)
		}
	}
	// The document's order is lost; a fixed one makes evaluation the same every time.
	slices.SortStableFunc(conditions, func(a, b condition) int { return strings.Compare(a.key, b.key) })
	return conditions, true
}

// scalars reads a string, number or boolean, or a list of them, as text.
func scalars(raw json.RawMessage) ([]string, bool) {
	var many []json.RawMessage
	if json.Unmarshal(raw, &many) != nil {
		many = []json.RawMessage{raw}
	} else if many == nil {
		return nil, false
	}
	texts := make([]string, len(many))
	for i, raw := range many {
		switch raw[0] {
		case '"':
			if json.Unmarshal(raw, &texts[i]) != nil {
				return nil, false
			}
		case '{', '[', 'n':
			return nil, false
		default:
			texts[i] = string(raw)
		}
	}
	return texts, true
}

func parseOperator(name string) (op operator, ok bool) {
	base := lower(name)
	if rest, found := strings.CutPrefix(base, "forallvalues:"); found {
		base, op.quantifier = rest, forAll
	} else if rest, found := strings.CutPrefix(base, "foranyvalue:"); found {
		base, op.quantifier = rest, forAny
	}
	if base == "null" {
		op.null, op.read = true, readBool
		return op, true
	}
	base, op.ifExists = strings.CutSuffix(base, "ifexists")
	op.read, op.negated = reader(base)
	return op, op.read != nil
}

// reader finds what makes an operator's operands, nil for an unknown one.
func reader(base string) (read func(string, bool) operand, negated bool) {
	kind, relation := base, ""
	for _, prefix := range []string{"numeric", "date"} {
		if rest, found := strings.CutPrefix(base, prefix); found {
			kind, relation = prefix, rest
		}
	}
	switch kind {
	case "stringequals", "stringnotequals":
		return readString(options{}), base == "stringnotequals"
	case "stringequalsignorecase", "stringnotequalsignorecase":
		return readFolded, base == "stringnotequalsignorecase"
	case "stringlike", "stringnotlike":
		return readString(options{wild: true}), base == "stringnotlike"
	case "arnequals", "arnlike", "arnnotequals", "arnnotlike":
		return readARN, strings.HasPrefix(base, "arnnot")
	case "ipaddress", "notipaddress":
		return readAddress, base == "notipaddress"
	case "bool":
		return readBool, false
	case "binaryequals":
		return readBinary, false
	case "numeric", "date":
		holds, negated := relationOf(relation)
		if holds == nil {
			return nil, false
		}
		if kind == "date" {
			return readDate(holds), negated
		}
		return readNumber(holds), negated
	}
	return nil, false
}

// relationOf is what an order of value and operand must be: negative, zero or positive.
func relationOf(name string) (holds func(order int) bool, negated bool) {
	switch name {
	case "equals", "notequals":
		return func(order int) bool { return order == 0 }, name == "notequals"
	case "lessthan":
		return func(order int) bool { return order < 0 }, false
	case "lessthanequals":
		return func(order int) bool { return order <= 0 }, false
	case "greaterthan":
		return func(order int) bool { return order > 0 }, false
	case "greaterthanequals":
		return func(order int) bool { return order >= 0 }, false
	}
	return nil, false
}

// holds evaluates the condition. known is false where the answer depends on a variable without a value.
func (c *condition) holds(r *Request) (holds, known bool) {
	values := r.values(c.key)
	switch {
	case c.null:
		return c.isNull(values == nil, r)
	case values == nil && c.ifExists:
		return true, true
	case len(values) == 0 && c.quantifier == forAll:
		return true, true
	case values == nil:
		return c.negated && c.quantifier != forAny, true
	}
	known = true
	all, some := true, false
	for _, value := range values {
		matched, sure := c.any(value, r)
		known = known && sure
		met := matched != c.negated
		all, some = all && met, some || met
	}
	// A negated operator on a key with many values that nobody quantified wants none of them to match.
	if c.quantifier == forAll || c.quantifier == single && c.negated {
		return all, known
	}
	return some, known
}

// any says whether one of the operands matches a value.
func (c *condition) any(value string, r *Request) (matched, known bool) {
	known = true
	for _, operand := range c.values {
		matched, sure := operand.match(value, r)
		if matched {
			return true, true
		}
		known = known && sure
	}
	return false, known
}

// isNull evaluates Null: "true" wants the key to be absent.
func (c *condition) isNull(absent bool, r *Request) (bool, bool) {
	text := "false"
	if absent {
		text = "true"
	}
	return c.any(text, r)
}
