package xray

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	root    = "1-5759e988-bd862e3fe1be46a994272793"
	segment = "53995c3f42cd8ad8"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Header{
		"":                                {},
		";;=;;==":                         {},
		"Root=;Parent=;Sampled=;Lineage=": {},
		"Root=2" + root[1:]:               {},
		"Root=" + root[:34]:               {},
		"Root=1-5759e988-bd862e3fe1be46a99427279g":        {},
		"Root=1-5759e988_bd862e3fe1be46a994272793":        {},
		"Parent=" + segment:                               {},
		"Root=1;Parent=" + segment + ";Sampled=1":         {Sampled: Yes},
		"Root=" + root + ";Parent=53995c3f42cd8ad":        {Root: root},
		"Root=" + root + ";Sampled=?":                     {Root: root},
		"Root=" + root + ";Sampled=2":                     {Root: root},
		"Root=" + root + ";Lineage=a87bd80c:1|68fd508a:5": {Root: root},
		"Root=" + root + ";Lineage=0:a87bd80c:0":          {Root: root},
		"Root=" + root + ";Lineage=1:a87bd80:0":           {Root: root},
		"Root=" + root + ";Lineage=1:a87bd80c:256":        {Root: root},
		"Root=" + root + ";Lineage=32768:a87bd80c:0":      {Root: root},
		"Root=" + root + ";Lineage=-1:a87bd80c:0":         {Root: root},
		"Root=" + root + "\r\nX: y":                       {},
		"Root=" + root + ";" + strings.Repeat("a", 1024):  {},

		"Root=" + root: {Root: root},
		"Sampled=1":    {Sampled: Yes},
		"Self=1-67891234-12456789abcdef012345678;Root=" + root:                           {Root: root},
		"Root=" + root + ";Root=1-00000000-000000000000000000000000;Sampled=0;Sampled=1": {Root: root, Sampled: No},
		" sampled=1 ; root=" + root + "; PARENT=" + segment:                              {Root: root, Parent: segment, Sampled: Yes},
		"Parent=" + segment + ";Root=" + strings.ToUpper(root):                           {Root: strings.ToUpper(root), Parent: segment},
		"Root=" + root + ";Parent=" + segment + ";Sampled=1;Lineage=25:a87bd80c:1;Foo=Bar": {
			Root: root, Parent: segment, Sampled: Yes, Lineage: Lineage{25, "a87bd80c", 1}},
	} {
		if diff := cmp.Diff(want, Parse(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestString(t *testing.T) {
	for want, h := range map[string]Header{
		"":             {},
		"Root=" + root: {Root: root},
		"Sampled=0":    {Sampled: No},
		"Root=" + root + ";Parent=" + segment + ";Sampled=1;Lineage=1:a87bd80c:0": {
			root, segment, Yes, Lineage{1, "a87bd80c", 0}},
	} {
		if got := h.String(); got != want {
			t.Errorf("%+v: %q, want %q", h, got, want)
		}
	}
}

func TestNew(t *testing.T) {
	h := Header{Root: NewRoot(time.Unix(0x5759e988, 0)), Parent: NewSegment(), Sampled: No}
	if !strings.HasPrefix(h.Root, "1-5759e988-") || Parse(h.String()) != h {
		t.Errorf("made %+v, read %+v", h, Parse(h.String()))
	}
	if other := NewRoot(time.Unix(0x5759e988, 0)); other == h.Root {
		t.Errorf("the root %q twice", other)
	}
	if other := NewSegment(); other == h.Parent {
		t.Errorf("the segment %q twice", other)
	}
}

func TestLineage(t *testing.T) {
	first := Lineage{}.Next("1", "f")
	if first.Requests != 1 || first.Loops != 0 || len(first.Resource) != 8 {
		t.Fatalf("first: %+v", first)
	}
	if other := (Lineage{}).Next("1f", ""); other.Resource == first.Resource {
		t.Error("two functions have one name")
	}
	for _, step := range []struct {
		from       Lineage
		name, want string
	}{
		{first, "g", "2:" + first.Resource + ":0"},
		{first, "f", "2:" + first.Resource + ":1"},
		{Lineage{7, "00000000", 3}, "f", "8:00000000:3"},
		{Lineage{maxRequests, first.Resource, maxLoops}, "f", "32767:" + first.Resource + ":255"},
	} {
		if got := (Header{Lineage: step.from.Next("1", step.name)}).String(); got != "Lineage="+step.want {
			t.Errorf("%+v to %s: %s, want %s", step.from, step.name, got, step.want)
		}
	}
}

func BenchmarkHeader(b *testing.B) {
	given := "Root=" + root + ";Parent=" + segment + ";Sampled=1;Lineage=25:a87bd80c:1"
	for b.Loop() {
		h := Parse(given)
		h.Root, h.Parent = NewRoot(time.Time{}), NewSegment()
		h.Lineage = h.Lineage.Next("000000000000", "us-east-1", "function")
		_ = h.String()
	}
}

// FuzzParse: what was read is legal, so that it can go into headers, variables and log lines as it is.
func FuzzParse(f *testing.F) {
	f.Add("Root=" + root + ";Parent=" + segment + ";Sampled=1;Lineage=25:a87bd80c:1")
	f.Add("root=\x00;Sampled=?;Lineage=::")
	f.Fuzz(func(t *testing.T, text string) {
		h := Parse(text)
		out := h.String()
		if strings.ContainsFunc(out, func(r rune) bool { return r <= ' ' || r == '"' || r >= 0x7f }) || len(out) > 120 {
			t.Errorf("%q became %q", text, out)
		}
		if again := Parse(out); again != h {
			t.Errorf("%q: %+v, and read again %+v", text, h, again)
		}
	})
}
