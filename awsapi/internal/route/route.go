// Package route finds the operation of an HTTP-bound request by method, escaped path and query literals. The path is
// never cleaned: an encoded slash belongs to its segment, and an empty segment is one. It must not know services.
package route

import (
	"fmt"
	"net/url"
	"strings"
)

// MaxLabels is the most labels a template may have.
const MaxLabels = 8

// Router maps requests to numbers that the caller chose.
type Router struct{ root node }

type node struct {
	literals map[string]*node
	label    *node
	greedy   *node
	// routes end here, those with query literals first.
	routes []route
}

type route struct {
	method   string
	literals []pair
	labels   []string
	id       int
}

type pair struct {
	name, value string
	any         bool
}

// Match is a found route with the values of its labels, still escaped.
type Match struct {
	ID     int
	names  []string
	values [MaxLabels]string
	count  int
}

// Label returns a label's value, unescaped.
func (m *Match) Label(name string) (string, bool) {
	for i, n := range m.names {
		if n == name {
			value, err := url.PathUnescape(m.values[i])
			return value, err == nil
		}
	}
	return "", false
}

// Add adds a route: a method and a template such as /functions/{Name}?List=ALL.
func (r *Router) Add(id int, method, template string) error {
	path, query, _ := strings.Cut(template, "?")
	added := route{method: method, id: id}
	at := &r.root
	for _, segment := range segments(path) {
		name, isLabel := strings.CutPrefix(segment, "{")
		if !isLabel {
			if at.literals == nil {
				at.literals = map[string]*node{}
			}
			if at.literals[segment] == nil {
				at.literals[segment] = &node{}
			}
			at = at.literals[segment]
			continue
		}
		name = strings.TrimSuffix(name, "}")
		next := &at.label
		if plain, isGreedy := strings.CutSuffix(name, "+"); isGreedy {
			name, next = plain, &at.greedy
		}
		if *next == nil {
			*next = &node{}
		}
		at = *next
		added.labels = append(added.labels, name)
	}
	if len(added.labels) > MaxLabels {
		return fmt.Errorf("route %s has more than %d labels", template, MaxLabels)
	}
	for query != "" {
		var literal string
		literal, query, _ = strings.Cut(query, "&")
		name, value, hasValue := strings.Cut(literal, "=")
		added.literals = append(added.literals, pair{name, value, !hasValue})
	}
	i := 0
	for i < len(at.routes) && len(at.routes[i].literals) >= len(added.literals) {
		i++
	}
	at.routes = append(at.routes[:i], append([]route{added}, at.routes[i:]...)...)
	return nil
}

// segments splits a path, without the slash at its start and at most one at its end.
func segments(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// Find looks a request up. A slash at the end of the path makes no difference.
func (r *Router) Find(method, escapedPath, rawQuery string) (Match, bool) {
	var m Match
	path := strings.TrimPrefix(escapedPath, "/")
	if r.root.find(&m, method, strings.TrimSuffix(path, "/"), rawQuery) {
		return m, true
	}
	return m, false
}

func (n *node) find(m *Match, method, path, query string) bool {
	if path == "" {
		if n.end(m, method, query) {
			return true
		}
	}
	segment, rest, _ := strings.Cut(path, "/")
	if path != "" {
		if next := n.literal(segment); next != nil && next.find(m, method, rest, query) {
			return true
		}
	}
	if m.count == MaxLabels {
		return false
	}
	if n.label != nil && path != "" {
		m.values[m.count] = segment
		m.count++
		if n.label.find(m, method, rest, query) {
			return true
		}
		m.count--
	}
	if n.greedy != nil && path != "" {
		return n.greedy.findAfter(m, method, path, query)
	}
	return false
}

// findAfter lets a greedy label take as many segments as leave a match for the rest. Templates that go on after the
// label come before one that ends with it.
func (n *node) findAfter(m *Match, method, path, query string) bool {
	at := m.count
	for end := strings.LastIndexByte(path, '/'); ; end = strings.LastIndexByte(path[:end], '/') {
		last := end <= 0
		if last {
			end = len(path)
		}
		m.values[at], m.count = path[:end], at+1
		if n.find(m, method, strings.TrimPrefix(path[end:], "/"), query) {
			return true
		}
		if last {
			m.count = at
			return false
		}
	}
}

func (n *node) literal(segment string) *node {
	if next, ok := n.literals[segment]; ok {
		return next
	}
	if strings.IndexByte(segment, '%') >= 0 {
		if plain, err := url.PathUnescape(segment); err == nil {
			return n.literals[plain]
		}
	}
	return nil
}

func (n *node) end(m *Match, method, query string) bool {
	for i := range n.routes {
		r := &n.routes[i]
		if r.method == method && r.fits(query) {
			m.ID, m.names = r.id, r.labels
			return true
		}
	}
	return false
}

// fits says whether a query has all the route's literals.
func (r *route) fits(query string) bool {
	for _, want := range r.literals {
		value, ok := Query(query, want.name)
		if !ok || !want.any && value != want.value {
			return false
		}
	}
	return true
}

// Query returns the first value of a query's parameter.
func Query(query, name string) (string, bool) {
	for key, value := range Pairs(query) {
		if key == name {
			return value, true
		}
	}
	return "", false
}

// Pairs yields a query's parameters, unescaped. Malformed ones are left out.
func Pairs(query string) func(yield func(string, string) bool) {
	return func(yield func(string, string) bool) {
		for query != "" {
			var part string
			part, query, _ = strings.Cut(query, "&")
			if part == "" {
				continue
			}
			key, value, _ := strings.Cut(part, "=")
			key, err := url.QueryUnescape(key)
			if err != nil {
				continue
			}
			if value, err = url.QueryUnescape(value); err != nil {
				continue
			}
			if !yield(key, value) {
				return
			}
		}
	}
}
