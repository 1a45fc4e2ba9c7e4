package protocol

import (
	"encoding/base64"
	"io"
	"net/http"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/internal/route"
)

// bindRequest fills what an HTTP-bound input has outside of the body.
func bindRequest(p *plan.Plan, r *Request, input reflect.Value) error {
	for _, f := range p.URI {
		text, ok := r.Match.Label(f.Wire)
		if !ok {
			return unreadable(f)
		}
		if err := f.ParseText(f.Of(input), text, awsapi.TimestampISO8601); err != nil {
			return unreadable(f)
		}
	}
	if len(p.Query) > 0 && r.HTTP.URL.RawQuery != "" {
		if err := bindQuery(p, r.HTTP.URL.RawQuery, input); err != nil {
			return err
		}
	}
	for _, f := range p.Header {
		if values := r.HTTP.Header[f.Wire]; len(values) > 0 {
			if err := bindHeader(f, values, f.Of(input)); err != nil {
				return err
			}
		}
	}
	for _, f := range p.Headers {
		bindPrefixHeaders(f, r.HTTP.Header, f.Of(input))
	}
	return nil
}

// unreadable is a value outside of the body that has not the form of its type.
func unreadable(f *plan.Field) error {
	return awsapi.Errorf("SerializationException", "Invalid value for %s", f.Wire)
}

func bindQuery(p *plan.Plan, rawQuery string, input reflect.Value) error {
	var rest *plan.Field
	for _, f := range p.Query {
		if f.Plan.Shape.Kind == awsapi.KindMap {
			rest = f
		}
	}
	for name, text := range route.Pairs(rawQuery) {
		f := queryField(p, name)
		switch {
		case f != nil && f.Plan.Shape.Kind == awsapi.KindList:
			slice := f.Of(input)
			element := reflect.New(slice.Type().Elem()).Elem()
			if err := f.Plan.Element.ParseText(element, text, awsapi.TimestampISO8601); err != nil {
				return unreadable(f)
			}
			slice.Set(reflect.Append(slice, element))
		case f != nil && f.Plan.Shape.Kind != awsapi.KindMap:
			if err := f.ParseText(f.Of(input), text, awsapi.TimestampISO8601); err != nil {
				return unreadable(f)
			}
		}
		if rest != nil {
			addToMap(rest.Of(input), name, text)
		}
	}
	return nil
}

func queryField(p *plan.Plan, name string) *plan.Field {
	for _, f := range p.Query {
		if f.Wire == name {
			return f
		}
	}
	return nil
}

// addToMap adds to a map of strings or of lists of strings; of a name given twice a map of strings keeps the first.
func addToMap(m reflect.Value, name, text string) {
	if m.IsNil() {
		m.Set(reflect.MakeMap(m.Type()))
	}
	key, value := reflect.ValueOf(name), reflect.ValueOf(text)
	present := m.MapIndex(key)
	if m.Type().Elem().Kind() == reflect.Slice {
		if !present.IsValid() {
			present = reflect.Zero(m.Type().Elem())
		}
		m.SetMapIndex(key, reflect.Append(present, value))
	} else if !present.IsValid() {
		m.SetMapIndex(key, value)
	}
}

func bindHeader(f *plan.Field, values []string, v reflect.Value) error {
	if f.Plan.Shape.Kind == awsapi.KindList {
		return bindHeaderList(f, values, v)
	}
	text := strings.TrimSpace(values[0])
	if f.JSONValue {
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return unreadable(f)
		}
		text = string(decoded)
	}
	if err := f.ParseText(v, text, awsapi.TimestampHTTP); err != nil {
		return unreadable(f)
	}
	return nil
}

func bindHeaderList(f *plan.Field, values []string, v reflect.Value) error {
	element := f.Plan.Element
	dates := element.Plan.Shape.Kind == awsapi.KindTimestamp && element.Format(awsapi.TimestampHTTP) == awsapi.TimestampHTTP
	slice := reflect.MakeSlice(v.Type(), 0, len(values))
	for _, text := range splitHeader(strings.Join(values, ","), dates) {
		slice = reflect.Append(slice, reflect.Zero(v.Type().Elem()))
		if err := element.ParseText(slice.Index(slice.Len()-1), text, awsapi.TimestampHTTP); err != nil {
			return unreadable(f)
		}
	}
	v.Set(slice)
	return nil
}

// splitHeader splits a header's list at commas outside of quotes. A date of HTTP has a comma of its own.
func splitHeader(text string, dates bool) []string {
	var parts []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		var part string
		if text[0] == '"' {
			part, text = quotedPart(text)
		} else {
			end := strings.IndexByte(text, ',')
			if dates && end >= 0 {
				if second := strings.IndexByte(text[end+1:], ','); second >= 0 {
					end += 1 + second
				} else {
					end = -1
				}
			}
			if end < 0 {
				end = len(text)
			}
			part, text = strings.TrimSpace(text[:end]), text[end:]
		}
		parts = append(parts, part)
		text = strings.TrimPrefix(strings.TrimSpace(text), ",")
	}
	return parts
}

// quotedPart reads a quoted string with backslash escapes; a missing end quote ends at the end.
func quotedPart(text string) (part, rest string) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), text[i+1:]
		case text[i] == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String(), ""
}

func bindPrefixHeaders(f *plan.Field, header http.Header, v reflect.Value) {
	for name, values := range header {
		if len(name) >= len(f.WireName) && strings.EqualFold(name[:len(f.WireName)], f.WireName) && len(values) > 0 {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			// Names come in any case and, over HTTP/2, in lower case: that is how AWS hands them on.
			v.SetMapIndex(reflect.ValueOf(strings.ToLower(name[len(f.WireName):])), reflect.ValueOf(values[0]))
		}
	}
}

// bindAnswer writes what an HTTP-bound output has outside of the body.
func bindAnswer(op *Operation, output reflect.Value, a *Answer) {
	p := op.Output
	if p.StatusCode != nil {
		if v, ok := plan.Present(p.StatusCode.Of(output)); ok {
			if status := int(v.Int()); status >= 100 && status <= 999 {
				a.Status = status
			}
		}
	}
	for _, f := range p.Header {
		if v, ok := plan.Present(f.Of(output)); ok {
			if text, ok := headerText(f, v); ok {
				a.Header[f.Wire] = []string{text}
			}
		}
	}
	for _, f := range p.Headers {
		for _, key := range sortedKeys(f.Of(output)) {
			a.Header.Set(f.WireName+key.String(), oneLine(f.Of(output).MapIndex(key).String()))
		}
	}
}

func sortedKeys(m reflect.Value) []reflect.Value {
	keys := m.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	return keys
}

// headerText is a member's value as a header has it. An empty list makes no header.
func headerText(f *plan.Field, v reflect.Value) (string, bool) {
	switch {
	case f.Plan.Shape.Kind == awsapi.KindList:
		var parts []string
		for i := range v.Len() {
			element, ok := plan.Present(v.Index(i))
			if !ok {
				continue
			}
			text := string(f.Plan.Element.AppendText(nil, element, awsapi.TimestampHTTP))
			if f.Plan.Element.Plan.Shape.Kind == awsapi.KindString && strings.ContainsAny(text, `",`) {
				text = strconv.Quote(text)
			}
			parts = append(parts, text)
		}
		return oneLine(strings.Join(parts, ", ")), len(parts) > 0
	case f.JSONValue:
		return base64.StdEncoding.EncodeToString([]byte(v.String())), true
	case f.Plan.Shape.Kind == awsapi.KindString:
		return oneLine(v.String()), true
	default:
		return string(f.AppendText(nil, v, awsapi.TimestampHTTP)), true
	}
}

// oneLine keeps a value from ending its header.
func oneLine(text string) string {
	if !strings.ContainsAny(text, "\r\n\x00") {
		return text
	}
	return strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(text)
}

// setStream puts the body's reader into a streaming payload.
func setStream(v reflect.Value, r *Request) {
	var stream io.Reader = http.NoBody
	if r.Stream != nil {
		stream = r.Stream
	}
	v.Set(reflect.ValueOf(&stream).Elem())
}
