// Package querywire reads the parameters of the query protocol: a form whose names are paths into the input, such as
// Tags.member.1.Key. It must not know HTTP beyond the form's encoding.
package querywire

import (
	"errors"
	"net/url"
	"strings"
)

// maxDepth bounds the parts of one name and maxParameters a form, so that hostile input cannot exhaust anything.
const (
	maxDepth      = 64
	maxParameters = 20000
)

// ErrMalformed says that a body is no form.
var ErrMalformed = errors.New("malformed form")

// Form is a parsed set of parameters.
type Form struct{ root node }

// node is one part of the parameters' names.
type node struct {
	value    string
	set      bool
	children map[string]*node
	// order keeps the children as they came.
	order []string
}

// Parse reads forms: a query string, a body, or both. Of a name given twice the first counts.
func Parse(texts ...string) (*Form, error) {
	f := &Form{}
	count := 0
	for _, text := range texts {
		for text != "" {
			var pair string
			pair, text, _ = strings.Cut(text, "&")
			if pair == "" {
				continue
			}
			if count++; count > maxParameters {
				return nil, ErrMalformed
			}
			name, value, _ := strings.Cut(pair, "=")
			name, err := url.QueryUnescape(name)
			if err != nil {
				return nil, ErrMalformed
			}
			if value, err = url.QueryUnescape(value); err != nil {
				return nil, ErrMalformed
			}
			if err := f.add(name, value); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

func (f *Form) add(name, value string) error {
	at := &f.root
	for depth := 0; ; depth++ {
		if depth == maxDepth {
			return ErrMalformed
		}
		part, rest, more := strings.Cut(name, ".")
		at = at.child(part)
		if !more {
			break
		}
		name = rest
	}
	if !at.set {
		at.value, at.set = value, true
	}
	return nil
}

func (n *node) child(name string) *node {
	c, ok := n.children[name]
	if !ok {
		if n.children == nil {
			n.children = map[string]*node{}
		}
		c = &node{}
		n.children[name] = c
		n.order = append(n.order, name)
	}
	return c
}

// Get returns a parameter without dots in its name: Action, Version.
func (f *Form) Get(name string) (string, bool) {
	c, ok := f.root.children[name]
	if !ok || !c.set {
		return "", false
	}
	return c.value, true
}
