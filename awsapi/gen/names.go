package main

import (
	"strings"
	"unicode"
)

// exported turns a model's name into an exported Go name.
func exported(name string) string {
	return strings.ToUpper(name[:1]) + name[1:]
}

// typeName is the Go type of a structure. Two names are every package's own.
func typeName(shape string) string {
	switch name := exported(shape); name {
	case "Service", "Handlers":
		return name + "Structure"
	default:
		return name
	}
}

// enumName joins a shape's name with one of its values: Runtime and "python3.12" make RuntimePython3_12. Words in
// capitals become ordinary ones, digits that a sign parted stay parted.
func enumName(shape, value string) string {
	var b strings.Builder
	b.WriteString(exported(shape))
	words := strings.FieldsFunc(value, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	if len(words) == 0 {
		words = []string{signs(value)}
	}
	for i, word := range words {
		if word == strings.ToUpper(word) && len(word) > 1 {
			word = strings.ToLower(word)
		}
		if previous := b.String(); i > 0 && digit(word[0]) && digit(previous[len(previous)-1]) {
			b.WriteByte('_')
		}
		b.WriteString(exported(word))
	}
	return b.String()
}

// signs names a value without letters or digits.
func signs(value string) string {
	names := map[rune]string{'*': "Star", '/': "Slash", ',': "Comma", '.': "Dot", '-': "Dash", '_': "Underscore"}
	var b strings.Builder
	for _, r := range value {
		b.WriteString(names[r])
	}
	if b.Len() == 0 {
		return "Empty"
	}
	return b.String()
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// shapeConstant names the index of a shape. Models have names that differ in the first letter's case alone.
func shapeConstant(name string) string {
	if exported(name) != name {
		return "shape_" + name
	}
	return "shape" + name
}
