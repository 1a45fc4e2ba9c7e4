package invoke

import (
	"testing"
	"time"

	"hotaru/awsapi/xray"
	"hotaru/function"
)

const (
	root    = "1-5759e988-bd862e3fe1be46a994272793"
	segment = "53995c3f42cd8ad8"
)

func version(name, mode string) *function.Version {
	return &function.Version{
		ID:          function.ID{Partition: "aws", Region: "us-east-1", Account: "000000000000", Name: name},
		TracingMode: mode,
	}
}

func TestTrace(t *testing.T) {
	const upstream = "Root=" + root + ";Parent=" + segment
	for _, test := range []struct {
		mode, given string
		// sameRoot and sameParent: passed on as given.
		sameRoot, sameParent bool
		sampled              xray.Sampled
		recorded             bool
		requests             int
	}{
		{"PassThrough", "", false, false, xray.No, false, 1},
		{"PassThrough", "Root=junk;Parent=" + segment, false, false, xray.No, false, 1},
		{"PassThrough", "Sampled=1", false, false, xray.Yes, false, 1},
		{"PassThrough", "Root=" + root, true, false, xray.No, false, 1},
		{"PassThrough", upstream + ";Sampled=?", true, true, xray.No, false, 1},
		{"PassThrough", upstream + ";Sampled=0", true, true, xray.No, false, 1},
		{"PassThrough", upstream + ";Sampled=1;Lineage=3:a87bd80c:0", true, true, xray.Yes, false, 4},
		{"Active", "", false, false, xray.Yes, true, 1},
		{"Active", upstream, true, false, xray.Yes, true, 1},
		{"Active", upstream + ";Sampled=0", true, false, xray.No, false, 1},
		{"Active", upstream + ";Sampled=1", true, false, xray.Yes, true, 1},
	} {
		var i Invoker // whose sampler has taken nothing yet
		text, recorded := i.trace(version("f", test.mode), test.given, time.Unix(1, 0))
		h := xray.Parse(text)
		if h.Root == "" || h.Parent == "" || (h.Root == root) != test.sameRoot || (h.Parent == segment) != test.sameParent ||
			h.Sampled != test.sampled || recorded != test.recorded || h.Lineage.Requests != test.requests {
			t.Errorf("%s, %q: %q, recorded %v", test.mode, test.given, text, recorded)
		}
	}
}

// TestSampler: the first trace of a function and second is recorded, and few others.
func TestSampler(t *testing.T) {
	var s sampler
	const times = 20_000
	for second := range int64(2) {
		for _, name := range []string{"f", "g"} {
			id := version(name, "Active").ID
			if !s.take(id, time.Unix(second, 0)) {
				t.Errorf("second %d: the first trace of %s is not recorded", second, name)
			}
			taken := 0
			for range times {
				if s.take(id, time.Unix(second, 999)) {
					taken++
				}
			}
			// 5 % are 1,000, give or take 31: 500 is sixteen times that.
			if taken < 500 || taken > 1500 {
				t.Errorf("second %d: %d of %d further traces of %s are recorded", second, taken, times, name)
			}
		}
	}
	if len(s.taken) != 2 {
		t.Errorf("%d functions are remembered", len(s.taken))
	}
}
