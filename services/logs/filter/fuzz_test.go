package filter

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

// fuzzed parses and matches, and wants the same verdict twice.
func fuzzed(t *testing.T, text, message string) (matches, parsed bool) {
	p, err := Parse(text)
	if err != nil {
		return false, false
	}
	matches = p.Match([]byte(message))
	if matches != p.Match([]byte(message)) {
		t.Fatalf("%q matches %q now and then", text, message)
	}
	p.Extract([]byte(message))
	return matches, true
}

func FuzzTerms(f *testing.F) {
	f.Add("ERROR -Exiting", "ERROR x")
	f.Add(`?a ?"b c"`, "b c")
	f.Add("%a+%", "aaa")
	f.Fuzz(func(t *testing.T, text, message string) {
		fuzzed(t, text, message)
		// A phrase matches where it stands, and nowhere else.
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
		if matches, parsed := fuzzed(t, quoted, message); !parsed || matches != strings.Contains(message, text) {
			t.Fatalf("%q in %q: %v, %v", quoted, message, matches, parsed)
		}
		if matches, _ := fuzzed(t, "-"+quoted, message); matches == strings.Contains(message, text) {
			t.Fatalf("-%q in %q: %v", quoted, message, matches)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add(`$.a.b = "x*" && ($.n > 3 || $.x IS NULL)`, `{"a":{"b":"xy"},"n":4,"x":null}`)
	f.Add(`$.a[*].["b c"] != %y% || $.d NOT EXISTS`, `{"a":[{"b c":"z"}]}`)
	f.Fuzz(func(t *testing.T, text, message string) {
		matches, _ := fuzzed(t, "{"+text+"}", message)
		if matches && !json.Valid([]byte(message)) {
			t.Fatalf("{%s} matches %q, which is no JSON", text, message)
		}
		// A condition and its opposite never both hold.
		both := "{(" + text + ") && $.a EXISTS && $.a NOT EXISTS}"
		if matches, _ := fuzzed(t, both, message); matches {
			t.Fatalf("%s matches %q", both, message)
		}
	})
}

func FuzzFields(f *testing.F) {
	f.Add("ip, user, ..., status = 4*, size > 1000", clf)
	f.Add("a=!b && a != %c%,", "d e")
	f.Fuzz(func(t *testing.T, text, message string) {
		fuzzed(t, "["+text+"]", message)
		// As many fields as there are, and no more.
		n := len(split(message))
		names := make([]string, n+1)
		for i := range names {
			names[i] = "f" + strconv.Itoa(i)
		}
		if n > 0 && n < 100 {
			if matches, _ := fuzzed(t, "["+strings.Join(names[:n], ",")+"]", message); !matches {
				t.Fatalf("%d fields do not match %q", n, message)
			}
			if matches, _ := fuzzed(t, "["+strings.Join(names, ", ")+"]", message); matches {
				t.Fatalf("%d fields match %q", n+1, message)
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	report := []byte("REPORT RequestId: 4b0f0d1c-0000-0000-0000-000000000000\tDuration: 1.02 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\n")
	object := bytes.ReplaceAll([]byte(trail), []byte("\n"), nil)
	for name, tc := range map[string]struct {
		pattern string
		message []byte
	}{
		"terms":  {`Duration -ERROR`, report},
		"json":   {`{ $.eventType = "Update*" && $.latency > 50 }`, object},
		"fields": {`[..., status = 4*, size > 1000]`, []byte(clf)},
	} {
		b.Run(name, func(b *testing.B) {
			p, err := Parse(tc.pattern)
			if err != nil || !p.Match(tc.message) {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(tc.message)))
			b.ReportAllocs()
			for b.Loop() {
				p.Match(tc.message)
			}
		})
	}
}
