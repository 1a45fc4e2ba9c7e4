package route

import (
	"net/url"
	"strings"
	"testing"
)

func router(t testing.TB) *Router {
	t.Helper()
	var r Router
	for i, template := range []string{
		0: "GET /functions", 1: "GET /functions/{Name}", 2: "GET /functions/{Name}/aliases/{Alias}",
		3: "GET /functions/{Name}/concurrency", 4: "GET /functions/{Name}/concurrency?List=ALL",
		5: "GET /layers?find=LayerVersion", 6: "GET /layers", 7: "GET /tags/{Resource}", 8: "DELETE /tags/{Resource}",
		9: "GET /files/{Path+}", 10: "GET /files/{Path+}/meta", 11: "GET /functions/special", 12: "GET /{Bucket}?acl",
		13: "GET /",
	} {
		method, path, _ := strings.Cut(template, " ")
		if err := r.Add(i, method, path); err != nil {
			t.Fatal(err)
		}
	}
	return &r
}

func TestFind(t *testing.T) {
	r := router(t)
	for _, c := range []struct {
		method, path, query string
		id                  int
		label, value        string
	}{
		{"GET", "/nothing", "", -1, "", ""},
		{"POST", "/functions", "", -1, "", ""},
		{"GET", "/functions/a/b", "", -1, "", ""},
		{"GET", "/functions/a/aliases", "", -1, "", ""},
		{"GET", "/x/../functions", "", -1, "", ""},
		{"GET", "/functions/./a/aliases/b", "", -1, "", ""},
		{"GET", "/files", "", -1, "", ""},
		{"GET", "/layers", "find=LayerVersion", 5, "", ""},
		{"GET", "/layers", "find=Other", 6, "", ""},
		{"GET", "/layers", "a=b&find=LayerVersion&c", 5, "", ""},
		{"GET", "/layers", "find=Layer%56ersion", 5, "", ""},
		{"GET", "/functions", "", 0, "", ""},
		{"GET", "/functions/", "", 0, "", ""},
		{"GET", "/functions/special", "", 11, "", ""},
		{"GET", "/functions/specia%6c", "", 11, "", ""},
		{"GET", "/functions/special/concurrency", "", 3, "Name", "special"},
		{"GET", "/functions/f", "", 1, "Name", "f"},
		{"GET", "/functions/a%2Fb", "", 1, "Name", "a/b"},
		{"GET", "/functions/arn%3Aaws%3Alambda", "", 1, "Name", "arn:aws:lambda"},
		{"GET", "/functions//concurrency", "", 3, "Name", ""},
		{"GET", "/functions/f/concurrency", "List=ALL", 4, "Name", "f"},
		{"GET", "/functions/f/aliases/a%20b", "", 2, "Alias", "a b"},
		{"DELETE", "/tags/x", "", 8, "Resource", "x"},
		{"GET", "/files/a/b%2Fc", "", 9, "Path", "a/b/c"},
		{"GET", "/files/a/b/meta", "", 10, "Path", "a/b"},
		{"GET", "/files/meta", "", 9, "Path", "meta"},
		{"GET", "/bucket", "acl", 12, "Bucket", "bucket"},
		{"GET", "/bucket", "acl=x", 12, "Bucket", "bucket"},
		{"GET", "/bucket", "", -1, "", ""},
		{"GET", "/", "", 13, "", ""},
		{"GET", "", "", 13, "", ""},
	} {
		m, ok := r.Find(c.method, c.path, c.query)
		if !ok && c.id == -1 {
			continue
		}
		if !ok || m.ID != c.id {
			t.Errorf("%s %s?%s: found %v, %d, want %d", c.method, c.path, c.query, ok, m.ID, c.id)
			continue
		}
		if value, _ := m.Label(c.label); value != c.value {
			t.Errorf("%s %s: label %s is %q, want %q", c.method, c.path, c.label, value, c.value)
		}
	}
	if err := r.Add(99, "GET", strings.Repeat("/{x}", MaxLabels+1)); err == nil {
		t.Error("too many labels are accepted")
	}
}

func FuzzFind(f *testing.F) {
	f.Add("GET", "/functions/arn%3Aaws/aliases/x", "List=ALL&a=%zz")
	f.Add("GET", "/files///a//meta/", "")
	r := router(f)
	f.Fuzz(func(t *testing.T, method, path, query string) {
		m, ok := r.Find(method, path, query)
		if !ok {
			return
		}
		for i, name := range m.names {
			value, ok := m.Label(name)
			plain, err := url.PathUnescape(m.values[i])
			if ok != (err == nil) || ok && value != plain {
				t.Errorf("label %s of %q is %q", name, path, value)
			}
			if !strings.Contains(path, m.values[i]) {
				t.Errorf("label %s of %q is %q, which the path does not have", name, path, m.values[i])
			}
		}
	})
}
