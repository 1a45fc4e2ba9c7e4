package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// plainer takes out of what clients saw whatever differs from run to run, and holds it to what it must be on the
// way: identifiers to their form, times to the run, digests and sizes to what was uploaded.
type plainer struct {
	*errand
	t     *testing.T
	began time.Time
	// at is the step and field that is looked at, for messages.
	at string
}

var (
	uuid      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	numbers   = regexp.MustCompile(`[0-9.]+ (ms|MB)`)
	unlimited = regexp.MustCompile(`(Memory Size: )([0-9]+ MB)`)
)

// forms are what identifiers look like.
func forms() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"RoleId":     regexp.MustCompile(`^AROA[A-Z2-7]{17}$`),
		"PolicyId":   regexp.MustCompile(`^ANPA[A-Z2-7]{17}$`),
		"RevisionId": regexp.MustCompile(`^` + uuid.String() + `$`),
		"Marker":     regexp.MustCompile(`^.{8,}$`),
		"NextMarker": regexp.MustCompile(`^.{8,}$`),
	}
}

func (p *plainer) all(list []seen) []seen {
	out := make([]seen, len(list))
	for i, s := range list {
		p.at = s.Step
		// Through JSON, so that numbers and maps are of one type whichever client this comes from.
		text, err := json.Marshal(s)
		if err != nil {
			p.t.Fatal(err)
		}
		if err := json.Unmarshal(text, &out[i]); err != nil {
			p.t.Fatal(err)
		}
		if code, ok := out[i].Output["StatusCode"].(float64); ok {
			// Not every client knows that an answer's status is a field of its output, too.
			p.want(s.Status == 0 || int(code) == s.Status, "StatusCode", strconv.Itoa(int(code)))
			delete(out[i].Output, "StatusCode")
		}
		out[i].Output, _ = p.value("", out[i].Output).(map[string]any)
		out[i].Pages, _ = p.value("", out[i].Pages).([]any)
		if e := out[i].Error; e != nil {
			e.Message = uuid.ReplaceAllString(e.Message, "<uuid>")
		}
	}
	return out
}

// value returns nil for what says nothing: clients differ in whether they show an empty list.
func (p *plainer) value(name string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		fields := maps.Clone(v)
		for field := range fields {
			if fields[field] = p.value(field, fields[field]); fields[field] == nil {
				delete(fields, field)
			}
		}
		if len(fields) == 0 {
			return nil
		}
		return fields
	case []any:
		var list []any
		for _, item := range v {
			list = append(list, p.value(name, item))
		}
		if len(list) == 0 {
			return nil
		}
		return list
	case string:
		return p.text(name, v)
	case float64:
		return p.number(name, v)
	}
	return value
}

func (p *plainer) text(name, v string) any {
	if form := forms()[name]; form != nil {
		p.want(form.MatchString(v), name, v)
		return "<" + name + ">"
	}
	switch name {
	case "Payload":
		switch {
		case v == "":
			return nil
		case len(v) > 10_000:
			return fmt.Sprintf("<%d bytes, %d of them x>", len(v), strings.Count(v, "x"))
		}
	case "CreateDate", "UpdateDate", "LastModified", "AttachDate", "LastUsedDate":
		p.want(p.during(v), name, v)
		return "<time>"
	case "Runtime":
		p.want(v == p.python, name, v)
		return "<python>"
	case "CodeSha256":
		pack, known := p.packs.digests()[v]
		p.want(known, name, v)
		return "<" + pack + ">"
	case "Location":
		p.want(strings.HasPrefix(v, p.Endpoint+"/"), name, v)
		return "<location>"
	case "RuntimeVersionArn":
		return "<runtime version>"
	case "LogResult":
		log, err := base64.StdEncoding.DecodeString(v)
		p.want(err == nil, name, v)
		return p.log(string(log))
	}
	return uuid.ReplaceAllString(v, "<uuid>")
}

// log keeps the lines of a log tail apart, and the memory that the function was given.
func (p *plainer) log(text string) any {
	var lines []any
	for line := range strings.Lines(text) {
		size := unlimited.FindStringSubmatch(line)
		line = numbers.ReplaceAllString(uuid.ReplaceAllString(line, "<uuid>"), "<n> $1")
		if size != nil {
			line = strings.Replace(line, size[1]+"<n> MB", size[0], 1)
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}

func (p *plainer) number(name string, v float64) any {
	if name != "CodeSize" {
		return v
	}
	for pack, content := range p.packs {
		if v == float64(len(content)) {
			return "<size of " + pack + ">"
		}
	}
	p.want(false, name, strconv.FormatFloat(v, 'f', -1, 64))
	return v
}

// during says whether a time, in any of the forms that clients print, lies within this run. Those forms end at
// seconds at the coarsest.
func (p *plainer) during(v string) bool {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.000-0700"} {
		if at, err := time.Parse(layout, v); err == nil {
			return !at.Before(p.began.Truncate(time.Second)) && !at.After(time.Now().Add(time.Second))
		}
	}
	return false
}

func (p *plainer) want(ok bool, name, v string) {
	if !ok {
		p.t.Errorf("%s: %s is %s, which cannot be", p.at, name, strconv.Quote(v))
	}
}

// render writes a list as the golden file has it.
func render(list []seen) (string, error) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(list); err != nil {
		return "", fmt.Errorf("golden: %w", err)
	}
	return b.String(), nil
}
