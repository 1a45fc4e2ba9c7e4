// Package compat writes docs/compat.md: which operations of a service are built and which test shows it. It must not
// know any operation by name.
package compat

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hotaru/awsapi"
)

// Section is one service's part of the page.
type Section struct {
	Binding awsapi.Binding
	// Shown names the test that shows an operation at work, by operation.
	Shown map[string]string
}

// Page writes the page, the sections in the given order. It fails where a test is named for an operation that is not
// there or not built: such a page would promise too much.
func Page(sections ...Section) (string, error) {
	var b strings.Builder
	b.WriteString("# Compatibility\n\nGenerated from the handlers that are bound and the tests that show them. " +
		"An operation that is not built answers `NotImplementedException` (HTTP 501).\n")
	for _, s := range sections {
		if err := s.write(&b); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func (s Section) write(b *strings.Builder) error {
	service := s.Binding.Service
	if len(s.Binding.Handlers) != len(service.Operations) {
		return fmt.Errorf("compat: %d handlers for %d operations of %s", len(s.Binding.Handlers), len(service.Operations), service.Name)
	}
	built := map[string]bool{}
	for i, op := range service.Operations {
		if s.Binding.Handlers[i].Built() {
			built[op.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Shown)) {
		if _, ok := service.Operation(name); !ok {
			return fmt.Errorf("compat: %s has no operation %s, which %s is to show", service.Name, name, s.Shown[name])
		}
		if !built[name] {
			return fmt.Errorf("compat: %s of %s is not built, which %s is to show", name, service.Name, s.Shown[name])
		}
	}
	fmt.Fprintf(b, "\n## %s\n\nAPI version %s. %d of %d operations are built, %d of them are shown by a test.\n\n"+
		"| Operation | Built | Shown by |\n|---|---|---|\n",
		service.FullName, service.APIVersion, len(built), len(service.Operations), len(s.Shown))
	for _, op := range service.Operations {
		state, test := "no", ""
		if built[op.Name] {
			state = "yes"
		}
		if shown := s.Shown[op.Name]; shown != "" {
			test = "`" + shown + "`"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", op.Name, state, test)
	}
	return nil
}
