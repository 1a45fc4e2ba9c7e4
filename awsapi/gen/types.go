package main

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// types writes the structures.
func (g *generator) types(b *bytes.Buffer) error {
	var body bytes.Buffer
	declared := map[string]bool{}
	declare := func(name string) error {
		if declared[name] {
			return fmt.Errorf("two types would be named %s", name)
		}
		declared[name] = true
		return nil
	}
	for _, name := range g.reachable {
		if err := declare(typeName(name)); err != nil {
			return err
		}
		if err := g.structure(&body, name); err != nil {
			return err
		}
	}
	for _, op := range g.operations {
		if op.Input == nil {
			if err := declare(op.Name + "Input"); err != nil {
				return err
			}
			fmt.Fprintf(&body, "// %sInput is empty: the operation takes nothing.\ntype %[1]sInput struct{}\n\n", op.Name)
		}
		if op.Output == nil {
			if err := declare(op.Name + "Output"); err != nil {
				return err
			}
			fmt.Fprintf(&body, "// %sOutput is empty: the operation answers nothing.\ntype %[1]sOutput struct{}\n\n", op.Name)
		}
	}
	fmt.Fprintf(b, "package %s\n\n", g.service)
	text := body.String()
	writeImports(b, text, map[string]string{
		"time.Time": "time", "json.RawMessage": "encoding/json", "io.Reader": "io", "awsapi.Events": "hotaru/awsapi",
	})
	b.WriteString(text)
	return nil
}

func writeImports(b *bytes.Buffer, text string, packages map[string]string) {
	var standard, ours []string
	for use, path := range packages {
		switch {
		case !strings.Contains(text, use):
		case strings.HasPrefix(path, "hotaru/"):
			ours = append(ours, path)
		default:
			standard = append(standard, path)
		}
	}
	if len(standard)+len(ours) == 0 {
		return
	}
	sort.Strings(standard)
	sort.Strings(ours)
	b.WriteString("import (\n")
	for _, path := range standard {
		fmt.Fprintf(b, "%q\n", path)
	}
	if len(standard) > 0 && len(ours) > 0 {
		b.WriteString("\n")
	}
	for _, path := range ours {
		fmt.Fprintf(b, "%q\n", path)
	}
	b.WriteString(")\n\n")
}

func (g *generator) structure(b *bytes.Buffer, name string) error {
	s := g.model.Shapes.Values[name]
	fmt.Fprintf(b, "// %s is the model's structure of that name.\ntype %s struct {\n", typeName(name), typeName(name))
	fields := map[string]bool{}
	for _, member := range s.Members.Keys {
		field := exported(member)
		if fields[field] {
			return fmt.Errorf("%s has two members named %s", name, field)
		}
		fields[field] = true
		fmt.Fprintf(b, "%s %s\n", field, g.fieldType(s, member))
	}
	b.WriteString("}\n\n")
	return nil
}

// fieldType is the Go type of a structure's member.
func (g *generator) fieldType(s *shape, member string) string {
	r := s.Members.Values[member]
	target := g.model.Shapes.Values[r.Shape]
	switch {
	case target.EventStream:
		return "awsapi.Events[" + typeName(r.Shape) + "]"
	case target.Type == "blob" && s.Payload == member && (target.Streaming || r.Streaming):
		return "io.Reader"
	case target.Document, target.Type == "list", target.Type == "map", target.Type == "blob":
		return g.valueType(r.Shape)
	default:
		return "*" + g.valueType(r.Shape)
	}
}

// valueType is the Go type of a shape as an element.
func (g *generator) valueType(name string) string {
	s := g.model.Shapes.Values[name]
	switch {
	case s.Document:
		return "json.RawMessage"
	case s.Type == "structure":
		return typeName(name)
	case s.Type == "list":
		return "[]" + g.elementType(s, s.Member.Shape)
	case s.Type == "map":
		return "map[string]" + g.elementType(s, s.Value.Shape)
	default:
		return scalarTypes[s.Type]
	}
}

// elementType is the type inside a list or map; a sparse one may hold nothing in a place.
func (g *generator) elementType(container *shape, element string) string {
	t := g.valueType(element)
	if container.Sparse && t[0] != '[' && !strings.HasPrefix(t, "map[") && t != "json.RawMessage" {
		return "*" + t
	}
	return t
}

var scalarTypes = map[string]string{
	"string": "string", "character": "string", "boolean": "bool", "integer": "int32", "long": "int64",
	"float": "float64", "double": "float64", "timestamp": "time.Time", "blob": "[]byte",
}

// enums writes the constants of enum values and of exceptions.
func (g *generator) enums(b *bytes.Buffer) error {
	fmt.Fprintf(b, "package %s\n\n", g.service)
	taken := map[string]bool{}
	for _, name := range g.reachable {
		taken[typeName(name)] = true
	}
	for _, op := range g.operations {
		taken[inputType(op)], taken[outputType(op)] = true, true
	}
	claim := func(name string) error {
		if taken[name] {
			return fmt.Errorf("two constants would be named %s", name)
		}
		taken[name] = true
		return nil
	}
	if err := g.exceptions(b, claim); err != nil {
		return err
	}
	for _, name := range g.names {
		s := g.model.Shapes.Values[name]
		if len(s.Enum) == 0 {
			continue
		}
		fmt.Fprintf(b, "// The values of %s.\nconst (\n", name)
		for _, value := range s.Enum {
			constant := enumName(name, value)
			if taken[constant] {
				constant += "Value"
			}
			if err := claim(constant); err != nil {
				return err
			}
			fmt.Fprintf(b, "%s = %q\n", constant, value)
		}
		b.WriteString(")\n\n")
	}
	return nil
}

func (g *generator) exceptions(b *bytes.Buffer, claim func(string) error) error {
	var lines bytes.Buffer
	for _, name := range g.names {
		if !g.model.Shapes.Values[name].Exception {
			continue
		}
		constant := exported(name)
		if slices.Contains(g.reachable, name) {
			constant += "Code" // An event stream carries the exception as a structure of that name.
		}
		if err := claim(constant); err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%s = %q\n", constant, name)
	}
	if lines.Len() > 0 {
		fmt.Fprintf(b, "// The exceptions of the model, as an APIError's code.\nconst (\n%s)\n\n", lines.String())
	}
	return nil
}
