// Package recorded compares Hotaru's answers with those that AWS itself gave and somebody recorded: the same
// members, the same values, except where the record has a placeholder for what differs from call to call. It must
// not know any operation.
package recorded

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// Scenario is a recorded scenario: its answers by name.
type Scenario map[string]any

// Load reads a scenario of a file of records.
func Load(path, scenario string) (Scenario, error) {
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("recorded: %w", err)
	}
	var file map[string]struct {
		Answers Scenario `json:"answers"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("recorded: %s: %w", path, err)
	}
	s, ok := file[scenario]
	if !ok {
		return nil, fmt.Errorf("recorded: %s has no scenario %q", path, scenario)
	}
	return s.Answers, nil
}

// Diff lists where got differs from a recorded answer, one line each.
func Diff(want, got any) []string {
	d := &differ{}
	d.compare("", want, got)
	return d.lines
}

type differ struct{ lines []string }

func (d *differ) differ(path, format string, args ...any) {
	d.lines = append(d.lines, path+": "+fmt.Sprintf(format, args...))
}

func (d *differ) compare(path string, want, got any) {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			d.differ(path, "want an object, got %v", got)
			return
		}
		d.objects(path, want, object)
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			d.differ(path, "want %v, got %v", want, got)
			return
		}
		for i := range want {
			d.compare(fmt.Sprintf("%s[%d]", path, i), want[i], list[i])
		}
	case string:
		if wildcard.MatchString(want) {
			if !pattern(want).MatchString(fmt.Sprint(got)) {
				d.differ(path, "want %q, got %v", want, got)
			}
			return
		}
		if got != want {
			d.differ(path, "want %q, got %#v", want, got)
		}
	default:
		if got != want {
			d.differ(path, "want %#v, got %#v", want, got)
		}
	}
}

func (d *differ) objects(path string, want, got map[string]any) {
	names := make([]string, 0, len(want)+len(got))
	for name := range want {
		names = append(names, name)
	}
	for name := range got {
		if _, known := want[name]; !known {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range slices.Compact(names) {
		here := strings.TrimPrefix(path+"."+name, ".")
		w, wanted := want[name]
		g, given := got[name]
		switch {
		case !wanted:
			d.differ(here, "AWS has no such member, got %v", g)
		case !given:
			d.differ(here, "missing, AWS has %v", w)
		default:
			d.compare(here, w, g)
		}
	}
}

// A record has "<function-name:1>" for a name, "date" for a time and 111111111111 for the account.
var wildcard = regexp.MustCompile(`<[^<>]+>|1{12}|\bdate\b|^code-sha256$`)

// pattern turns a recorded string into what must match.
func pattern(want string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)^`)
	rest := want
	for {
		at := wildcard.FindStringIndex(rest)
		if at == nil {
			break
		}
		b.WriteString(regexp.QuoteMeta(rest[:at[0]]) + `.*`)
		rest = rest[at[1]:]
	}
	b.WriteString(regexp.QuoteMeta(rest) + `$`)
	return regexp.MustCompile(b.String())
}
