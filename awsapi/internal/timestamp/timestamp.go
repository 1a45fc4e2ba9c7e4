// Package timestamp reads and writes points in time as AWS's protocols do: seconds since 1970, ISO 8601 and the dates
// of HTTP headers. It must not know where they stand in a request.
package timestamp

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"hotaru/awsapi"
)

// errFormat says that a text is no point in time.
var errFormat = errors.New("not a timestamp")

// AppendText appends t in a format; epoch seconds have at most three decimals.
func AppendText(b []byte, t time.Time, format awsapi.TimestampFormat) []byte {
	t = t.UTC()
	switch format {
	case awsapi.TimestampISO8601:
		if t.Nanosecond()/int(time.Millisecond) != 0 {
			return t.AppendFormat(b, "2006-01-02T15:04:05.000Z")
		}
		return t.AppendFormat(b, "2006-01-02T15:04:05Z")
	case awsapi.TimestampHTTP:
		return t.AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 GMT")
	default:
		milliseconds := t.UnixMilli()
		if milliseconds%1000 == 0 {
			return strconv.AppendInt(b, milliseconds/1000, 10)
		}
		return strconv.AppendFloat(b, float64(milliseconds)/1000, 'f', -1, 64)
	}
}

// Parse reads a text in a format. As AWS does, it takes any of the formats where the one that the model prescribes
// does not fit, because clients differ.
func Parse(text string, format awsapi.TimestampFormat) (time.Time, error) {
	order := [...]func(string) (time.Time, error){parseEpoch, parseISO8601, parseHTTP}
	if first := int(format) - 1; first > 0 {
		order[0], order[first] = order[first], order[0]
	}
	for _, parse := range order {
		if t, err := parse(text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errFormat
}

// latest is the greatest epoch millisecond that a four-digit year can show, 9999-12-31T23:59:59.999Z; earliest is the
// first of year 1.
const latest, earliest = 253402300799999, -62135596800000

// FromEpoch makes a time of seconds since 1970, exact to the millisecond.
func FromEpoch(seconds float64) (time.Time, error) {
	milliseconds := math.Round(seconds * 1000)
	if !(milliseconds >= earliest && milliseconds <= latest) { // NaN is neither.
		return time.Time{}, errFormat
	}
	return time.UnixMilli(int64(milliseconds)).UTC(), nil
}

// within answers t in UTC, or errFormat if its year cannot be shown with four digits: the offset of a text may lead
// out of the years that its digits name.
func within(t time.Time) (time.Time, error) {
	if at := t.UnixMilli(); at < earliest || at > latest {
		return time.Time{}, errFormat
	}
	return t.UTC(), nil
}

func parseEpoch(text string) (time.Time, error) {
	if text == "" || text[0] == '+' || strings.Trim(text, "0123456789.-+eE") != "" || strings.Contains(text, "_") {
		return time.Time{}, errFormat
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return time.Time{}, errFormat
	}
	return FromEpoch(seconds)
}

func parseISO8601(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05", "20060102T150405Z", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return within(t)
		}
	}
	return time.Time{}, errFormat
}

func parseHTTP(text string) (time.Time, error) {
	for _, layout := range []string{"Mon, 02 Jan 2006 15:04:05.999999999 GMT", "Mon, 2 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, text); err == nil {
			return within(t)
		}
	}
	return time.Time{}, errFormat
}
