package timestamp

import (
	"testing"
	"time"

	"hotaru/awsapi"
)

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "x", "NaN", "Infinity", "1e300", "-1e300", "2026-13-01T00:00:00Z", "0x10", "1_000", "+1",
		"0000-01-01T0:00:00+0100", "0000-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00"} {
		if got, err := Parse(text, awsapi.TimestampEpoch); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestForms(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)
	for format, want := range map[awsapi.TimestampFormat]string{
		awsapi.TimestampEpoch: "1772600767.089", awsapi.TimestampISO8601: "2026-03-04T05:06:07.089Z",
		awsapi.TimestampHTTP: "Wed, 04 Mar 2026 05:06:07 GMT",
	} {
		got := string(AppendText(nil, at.In(time.FixedZone("", 3600)), format))
		if got != want {
			t.Errorf("format %d writes %s, want %s", format, got, want)
		}
		for _, hint := range []awsapi.TimestampFormat{awsapi.TimestampDefault, awsapi.TimestampEpoch, awsapi.TimestampISO8601, awsapi.TimestampHTTP} {
			back, err := Parse(got, hint)
			if err != nil || !back.Truncate(time.Second).Equal(at.Truncate(time.Second)) {
				t.Errorf("%s reads as %s, %v", got, back, err)
			}
		}
	}
	if back, err := Parse("2026-03-04T06:06:07+01:00", awsapi.TimestampISO8601); err != nil || !back.Equal(at.Truncate(time.Second)) {
		t.Errorf("an offset reads as %s, %v", back, err)
	}
	if got := string(AppendText(nil, at.Truncate(time.Second), awsapi.TimestampISO8601)); got != "2026-03-04T05:06:07Z" {
		t.Errorf("whole seconds are %s", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1772600767.089", uint8(1))
	f.Add("2026-03-04T05:06:07.089Z", uint8(2))
	f.Fuzz(func(t *testing.T, text string, format uint8) {
		at, err := Parse(text, awsapi.TimestampFormat(format%4))
		if err == nil && (at.Year() < 1 || at.Year() > 9999) {
			t.Errorf("%q is in the year %d", text, at.Year())
		}
	})
}
