package filter

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// condition compares a value with what the pattern says.
type condition struct {
	operator string
	// text, with wildcards at its ends, or expression, or a number as well as the text that it was written as.
	text       string
	start, end bool
	quoted     bool
	expression *regexp.Regexp
	isNumber   bool
}

// condition reads an operator and what stands behind it.
func (s *scanner) condition() (condition, error) {
	var c condition
	s.skipSpace()
	for _, operator := range []string{"!=", "<=", ">=", "=", "<", ">"} {
		if s.take(operator) {
			c.operator = operator
			break
		}
	}
	s.skipSpace()
	if c.operator == "=" && s.take("!") { // as in [w1=!ERROR, w2]
		c.operator = "!="
	}
	if c.operator == "" {
		return c, errInvalid
	}
	if err := s.operand(&c); err != nil {
		return c, err
	}
	if ordered := c.operator != "=" && c.operator != "!="; ordered && !c.isNumber {
		return c, errInvalid
	}
	return c, nil
}

func (s *scanner) operand(c *condition) (err error) {
	switch s.peek() {
	case '%':
		c.expression, err = s.expression()
		return err
	case '"':
		c.quoted = true
		c.text, err = s.quoted()
	default:
		c.text = s.while(isBare)
		if c.text == "" {
			return errInvalid
		}
		c.isNumber = isNumber(c.text)
	}
	c.text, c.start = strings.CutPrefix(c.text, "*")
	c.text, c.end = strings.CutSuffix(c.text, "*")
	return err
}

// isBare says whether a byte may be in a value without quotes.
func isBare(c byte) bool { return isWord(c) || strings.IndexByte("*.-+:/@#$~", c) >= 0 }

// isNumber knows integers and decimals with a sign and an exponent, and none of Go's other forms.
func isNumber(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && strings.IndexByte("+-.eE", c) < 0 {
			return false
		}
	}
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

// holdsText judges a text, which may be a number.
func (c *condition) holdsText(value string) bool {
	switch {
	case c.expression != nil:
		return c.expression.MatchString(value) == (c.operator == "=")
	case c.isNumber && isNumber(value):
		return c.compare(value)
	case c.operator == "=":
		return c.equals(value)
	case c.operator == "!=":
		return !c.equals(value)
	default:
		return false
	}
}

// equals minds the wildcards.
func (c *condition) equals(value string) bool {
	switch {
	case c.start && c.end:
		return strings.Contains(value, c.text)
	case c.start:
		return strings.HasSuffix(value, c.text)
	case c.end:
		return strings.HasPrefix(value, c.text)
	default:
		return value == c.text
	}
}

// compare judges a number, whole ones without rounding.
func (c *condition) compare(value string) bool {
	a, errA := strconv.ParseInt(value, 10, 64)
	b, errB := strconv.ParseInt(c.text, 10, 64)
	if errA == nil && errB == nil {
		return ordered(c.operator, a, b)
	}
	// Out of range is infinity, which compares as it should.
	x, _ := strconv.ParseFloat(value, 64)
	y, _ := strconv.ParseFloat(c.text, 64)
	return ordered(c.operator, x, y)
}

func ordered[T int64 | float64](operator string, a, b T) bool {
	switch operator {
	case "=":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	default:
		return a >= b
	}
}

// holdsJSON judges a value of JSON. Arrays, objects and null satisfy no comparison, not even !=.
func (c *condition) holdsJSON(value any) bool {
	switch v := value.(type) {
	case string:
		if c.isNumber && c.operator != "=" && c.operator != "!=" {
			return false // a text is neither more nor less than a number
		}
		if c.isNumber {
			return c.equals(v) == (c.operator == "=")
		}
		return c.holdsText(v)
	case json.Number:
		if c.quoted { // a number is no text
			return c.operator == "!="
		}
		if c.isNumber {
			return c.compare(v.String())
		}
		return c.holdsText(v.String())
	case bool:
		if c.quoted {
			return c.operator == "!="
		}
		return c.holdsText(strconv.FormatBool(v))
	default:
		return false
	}
}
