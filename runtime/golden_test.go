package runtime_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/runtime"
	"hotaru/runtimeapi"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files with what the bootstraps do now")

// section is one part of a golden file: "-- name --" and the lines up to the next.
type section struct{ name, text string }

func readSections(t *testing.T, file string) []section {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var sections []section
	for _, line := range strings.SplitAfter(string(content), "\n") {
		if name, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(name, " --\n") {
			sections = append(sections, section{name: strings.TrimSuffix(name, " --\n")})
		} else if len(sections) > 0 {
			sections[len(sections)-1].text += line
		}
	}
	return sections
}

func writeSections(t *testing.T, file string, sections []section) {
	t.Helper()
	var out strings.Builder
	for _, s := range sections {
		fmt.Fprintf(&out, "-- %s --\n%s", s.name, s.text)
	}
	if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestGolden runs every function in testdata on every interpreter of its language that is installed. A file
// has the function's own files, "handler", "env", "events" (one a line) and "want", the transcript; a version
// that answers differently has "want <version>". The -rewrite flag writes both. An interpreter that was started
// before its function was there must do exactly the same, and so must one that talks over the HTTP Runtime API.
func TestGolden(t *testing.T) {
	for language, ids := range map[string][]string{
		// The first is the one whose transcript is "want".
		"python": {"python3.11", "python3.13", "python3.8", "python3.9", "python3.10", "python3.12", "python3.14"},
		"nodejs": {"nodejs20.x", "nodejs24.x", "nodejs16.x", "nodejs18.x", "nodejs22.x"},
	} {
		files, err := filepath.Glob(filepath.Join("testdata", language, "*.txt"))
		if err != nil || len(files) == 0 {
			t.Fatal("no golden files", err)
		}
		for _, file := range files {
			for i, id := range ids {
				t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+id, func(t *testing.T) {
					if !*rewrite { // versions share a file
						t.Parallel()
					}
					golden(t, file, resolve(t, id), i)
				})
			}
		}
	}
}

// golden plays one file on one interpreter, the nth of its language: the first in all ways, the second as a zygote too.
// How a process is started and talked to is the same code in every version.
func golden(t *testing.T, file string, r *runtime.Runtime, nth int) {
	first := nth == 0
	sections := readSections(t, file)
	get := func(name string) (string, bool) {
		i := slices.IndexFunc(sections, func(s section) bool { return s.name == name })
		if i < 0 {
			return "", false
		}
		return sections[i].text, true
	}
	f := readPlayed(sections)
	got := f.play(t, r, cold)
	if nth < 2 {
		for _, way := range early(r) {
			if late := f.play(t, r, way); late != got {
				t.Errorf("an interpreter that was there before its function does not do the same (-cold +%s):\n%s", way, cmp.Diff(got, late))
			}
		}
	}
	if first {
		if diff := cmp.Diff(said(got), said(f.play(t, r, overHTTP))); diff != "" {
			t.Errorf("over the HTTP Runtime API it does not do the same (-frames +HTTP):\n%s", diff)
		}
	}

	own := "want " + r.Version
	want, isOwn := get(own)
	if !isOwn {
		want, _ = get("want")
	}
	if want == got {
		return
	}
	if !*rewrite {
		t.Errorf("transcript (-want +got):\n%s", cmp.Diff(want, got))
		return
	}
	if first {
		own = "want"
	}
	sections = slices.DeleteFunc(sections, func(s section) bool { return s.name == own })
	if common, _ := get("want"); first || common != got {
		sections = append(sections, section{own, got})
	}
	writeSections(t, file, sections)
}

// played is a function and what happens to it.
type played struct {
	files       map[string]string
	handler     string
	env, events []string
}

func readPlayed(sections []section) played {
	f := played{files: map[string]string{}}
	for _, s := range sections {
		switch {
		case s.name == "handler":
			f.handler = strings.TrimSpace(s.text)
		case s.name == "env":
			f.env = strings.Fields(s.text)
		case s.name == "events":
			f.events = strings.Split(strings.TrimSpace(s.text), "\n")
		case strings.Contains(s.name, ".") && !strings.Contains(s.name, " "):
			f.files[s.name] = s.text
		}
	}
	return f
}

// said is what a transcript says whatever the transport: the answers in their order, and what was written to the log. In
// frames that is records and prints, apart; over HTTP it is all printed, with carriage returns inside records.
func said(transcript string) (lines struct{ Answers, Log []string }) {
	for line := range strings.Lines(transcript) {
		kind, quoted, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		text, err := strconv.Unquote(quoted)
		if kind != "log" && kind != "stdout" || err != nil {
			lines.Answers = append(lines.Answers, line)
			continue
		}
		lines.Log = append(lines.Log, strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\r"))
	}
	slices.Sort(lines.Log)
	return lines
}

// play returns the transcript of a new process. A zygote waits before there is any code.
func (f played) play(t *testing.T, r *runtime.Runtime, way way) string {
	return f.playWith(t, setup{runtime: r, way: way})
}

func (f played) playWith(t *testing.T, s setup) string {
	task := filepath.Join(t.TempDir(), "task")
	if err := os.MkdirAll(task, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func() {
		for name, content := range f.files {
			write(t, filepath.Join(task, name), content)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if !s.way.early() {
		put()
	}
	s.task, s.handler, s.env = task, f.handler, f.env
	p := s.launch(t)
	if s.way.early() {
		p.untilWaiting(ctx)
		put()
	}
	events := f.events
	if p.init(ctx) != nil {
		events = nil
	}
	for i, payload := range events {
		event := &runtimeapi.Event{
			RequestID:   fmt.Sprintf("request-%d", i+1),
			FunctionARN: "arn:aws:lambda:us-east-1:123456789012:function:the-function",
			Deadline:    time.Now().Add(10 * time.Second),
			TraceID:     "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
			Payload:     []byte(payload),
		}
		// An event line may begin with the context it comes with.
		if rest, ok := strings.CutPrefix(payload, "mobile "); ok {
			event.ClientContext = `{"custom":{"foo":"bar"},"client":{"app_title":"T"},"env":{"fizz":"buzz"}}`
			event.CognitoIdentity = `{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}`
			event.TenantID = "tenant"
			event.Payload = []byte(rest)
		} else if rest, ok := strings.CutPrefix(payload, "w3c "); ok {
			event.ClientContext = `{"custom":{"a":1},"w3c":{"traceparent":"00-1-2-01","baggage":7,"other":"x"}}`
			event.Payload = []byte(rest)
		} else if rest, ok := strings.CutPrefix(payload, "broken-context "); ok {
			event.ClientContext = `{`
			event.Payload = []byte(rest)
		}
		p.note("> %s", payload)
		_ = p.invoke(ctx, event) // noted
	}
	return p.transcript()
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
