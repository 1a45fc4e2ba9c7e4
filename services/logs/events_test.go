package logs_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"hotaru/services/logs/logstore"
)

func TestPutLogEventsRefuses(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	h.fill("g", "s", "a")
	at := func(after time.Duration, message string) types.InputLogEvent {
		return types.InputLogEvent{Timestamp: ms(after.Milliseconds()), Message: &message}
	}
	const mb = 1 << 20
	for _, tc := range []struct {
		what, group, stream string
		events              []types.InputLogEvent
		code, message       string
	}{
		{"no group", "nope", "s", []types.InputLogEvent{at(0, "x")}, missing, noGroup},
		{"no stream", "g", "nope", []types.InputLogEvent{at(0, "x")}, missing, noStream},
		{"empty batch", "g", "s", []types.InputLogEvent{}, invalid, "1 validation error detected: Value '[]' at 'logEvents' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"a large event", "g", "s", []types.InputLogEvent{at(0, strings.Repeat("x", mb-25))}, invalid, "Log event too large: 1048577 bytes exceeds limit of 1048576"},
		{"a large batch", "g", "s", []types.InputLogEvent{at(0, strings.Repeat("x", mb/2)), at(0, strings.Repeat("x", mb/2-51))}, invalid, "Upload too large: 1048577 bytes exceeds limit of 1048576"},
		{"disorder", "g", "s", []types.InputLogEvent{at(time.Second, "x"), at(0, "y")}, invalid, "Log events in a single PutLogEvents request must be in chronological order."},
		{"more than a day", "g", "s", []types.InputLogEvent{at(-25*time.Hour, "x"), at(0, "y")}, invalid, "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."},
	} {
		_, err := h.PutLogEvents(t.Context(), &client.PutLogEventsInput{LogGroupName: &tc.group, LogStreamName: &tc.stream, LogEvents: tc.events})
		refused(t, tc.what, err, tc.code, tc.message)
	}
	same(t, "events", []string{"a"}, h.filter(t, client.FilterLogEventsInput{LogGroupName: aws.String("g")}))
}

func TestPutLogEventsRejectsByTime(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	h.fill("g", "s", "a")
	put := func(hours ...float64) *types.RejectedLogEventsInfo {
		in := &client.PutLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("s"), SequenceToken: aws.String("ignored")}
		for _, after := range hours {
			in.LogEvents = append(in.LogEvents, types.InputLogEvent{Timestamp: ms(int64(after * 3_600_000)), Message: aws.String(fmt.Sprint(after))})
		}
		out := must(h.PutLogEvents(t.Context(), in))(t)
		if len(aws.ToString(out.NextSequenceToken)) != 56 {
			t.Errorf("token: %v", out.NextSequenceToken)
		}
		return out.RejectedLogEventsInfo
	}
	none := (*types.RejectedLogEventsInfo)(nil)
	for _, tc := range []struct {
		hours []float64
		want  string
	}{
		{[]float64{-20, 1.5, 2}, "<nil> <nil> <nil>"},
		{[]float64{-400, -337, -1, 1, 2.5}, "2 4 <nil>"},
		{[]float64{3, 4}, "<nil> 0 <nil>"},
		{[]float64{-400}, "1 <nil> <nil>"},
	} {
		got := put(tc.hours...)
		if got == none {
			got = &types.RejectedLogEventsInfo{}
		}
		same(t, fmt.Sprint(tc.hours), tc.want, indices(got))
	}
	must(h.PutRetentionPolicy(t.Context(), &client.PutRetentionPolicyInput{LogGroupName: aws.String("g"), RetentionInDays: aws.Int32(1)}))(t)
	same(t, "with retention", "1 <nil> 3", indices(put(-400, -48, -25, -0.5)))
	same(t, "events", []string{"-20", "-1", "-0.5", "a", "1", "1.5", "2"}, h.filter(t, client.FilterLogEventsInput{LogGroupName: aws.String("g")}))
}

func indices(info *types.RejectedLogEventsInfo) string {
	show := func(p *int32) string {
		if p == nil {
			return "<nil>"
		}
		return fmt.Sprint(*p)
	}
	return show(info.TooOldLogEventEndIndex) + " " + show(info.TooNewLogEventStartIndex) + " " + show(info.ExpiredLogEventEndIndex)
}

// get is one page of GetLogEvents of stream g/s.
func (h *house) get(t *testing.T, in client.GetLogEventsInput) (messages string, forward, backward *string) {
	t.Helper()
	in.LogGroupName, in.LogStreamName = aws.String("g"), aws.String("s")
	out := must(h.GetLogEvents(t.Context(), &in))(t)
	for _, e := range out.Events {
		messages += *e.Message
	}
	return messages, out.NextForwardToken, out.NextBackwardToken
}

func TestGetLogEvents(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	h.createGroup("g")
	h.createStream("g", "s")

	// A stream without events: the tokens stay as they are, and lead to what comes later.
	got, empty, back := h.get(t, client.GetLogEventsInput{})
	same(t, "no events", "", got)
	_, f2, b2 := h.get(t, client.GetLogEventsInput{NextToken: empty})
	same(t, "forward of nothing", *empty, *f2)
	same(t, "backward of nothing", *back, *b2)
	for i, letter := range strings.Split("abcdefg", "") {
		h.put("g", "s", int64(i)*1000, letter)
	}
	got, _, _ = h.get(t, client.GetLogEventsInput{NextToken: empty})
	same(t, "what came later", "abcdefg", got)
	got, _, _ = h.get(t, client.GetLogEventsInput{NextToken: back})
	same(t, "before the beginning", "", got)

	got, forward, backward := h.get(t, client.GetLogEventsInput{Limit: aws.Int32(3)})
	same(t, "the latest", "efg", got)
	got, end, _ := h.get(t, client.GetLogEventsInput{NextToken: forward, StartFromHead: aws.Bool(true)})
	same(t, "after the latest", "", got)
	same(t, "its token", *forward, *end)
	got, again, backward := h.get(t, client.GetLogEventsInput{NextToken: backward, Limit: aws.Int32(3)})
	same(t, "before the latest", "bcd", got)
	got, _, _ = h.get(t, client.GetLogEventsInput{NextToken: again})
	same(t, "and forward again", "efg", got)
	got, _, backward = h.get(t, client.GetLogEventsInput{NextToken: backward, Limit: aws.Int32(3)})
	same(t, "the first", "a", got)
	got, _, last := h.get(t, client.GetLogEventsInput{NextToken: backward})
	same(t, "before the first", "", got)
	same(t, "its token", *backward, *last)

	got, _, _ = h.get(t, client.GetLogEventsInput{StartTime: ms(1000), EndTime: ms(3000)})
	same(t, "a range without its end", "bc", got)
	h.put("g", "s", 7000, "h")
	got, _, _ = h.get(t, client.GetLogEventsInput{NextToken: forward})
	same(t, "a later event", "h", got)

	for _, limit := range []int32{1, 2, 3, 100} {
		var all strings.Builder
		in := &client.GetLogEventsInput{LogGroupIdentifier: aws.String(arnG), LogStreamName: aws.String("s"), StartFromHead: aws.Bool(true), Limit: &limit}
		pages := client.NewGetLogEventsPaginator(h, in, func(o *client.GetLogEventsPaginatorOptions) { o.StopOnDuplicateToken = true })
		for pages.HasMorePages() {
			for _, e := range must(pages.NextPage(t.Context()))(t).Events {
				all.WriteString(*e.Message)
				if *e.IngestionTime != *ms(0) {
					t.Errorf("ingestion of %s: %d", *e.Message, *e.IngestionTime)
				}
			}
		}
		same(t, "all pages", "abcdefgh", all.String())
	}
}

// filter is all pages of FilterLogEvents.
func (h *house) filter(t *testing.T, in client.FilterLogEventsInput) []string {
	t.Helper()
	var messages []string
	ids := map[string]bool{}
	for pages := client.NewFilterLogEventsPaginator(h, &in); pages.HasMorePages(); {
		out := must(pages.NextPage(t.Context()))(t)
		for _, e := range out.Events {
			messages = append(messages, *e.Message)
			if ids[*e.EventId] || len(*e.EventId) != 56 {
				t.Errorf("event ID %s of %s", *e.EventId, *e.Message)
			}
			ids[*e.EventId] = true
		}
	}
	return messages
}

func TestFilterLogEvents(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	h.createGroup("g")
	for _, name := range []string{"s1", "s2", "t1"} {
		h.createStream("g", name)
	}
	h.put("g", "s1", 0, "START one", "ERROR one", `{"level":"ERROR","n":5}`)
	h.put("g", "s2", 1, "ERROR two", "END two")
	h.put("g", "t1", 4, "ERROR three")
	must(h.in("eu-west-1").CreateLogGroup(t.Context(), &client.CreateLogGroupInput{LogGroupName: aws.String("g")}))(t)
	all := []string{"START one", "ERROR one", "ERROR two", `{"level":"ERROR","n":5}`, "END two", "ERROR three"}
	backwards := slices.Clone(all)
	slices.Reverse(backwards)
	for _, tc := range []struct {
		in   client.FilterLogEventsInput
		want []string
	}{
		{client.FilterLogEventsInput{}, all},
		{client.FilterLogEventsInput{StartFromHead: aws.Bool(false), StartTime: ms(-5)}, backwards},
		{client.FilterLogEventsInput{StartTime: ms(1), EndTime: ms(2)}, all[1:5]},
		{client.FilterLogEventsInput{EndTime: aws.Int64(1<<63 - 1)}, all},
		{client.FilterLogEventsInput{LogStreamNames: []string{"s2", "t1"}}, []string{"ERROR two", "END two", "ERROR three"}},
		{client.FilterLogEventsInput{LogStreamNamePrefix: aws.String("s")}, all[:5]},
		{client.FilterLogEventsInput{LogStreamNamePrefix: aws.String("x")}, nil},
		{client.FilterLogEventsInput{FilterPattern: aws.String("")}, all},
		{client.FilterLogEventsInput{FilterPattern: aws.String("ERROR -two")}, []string{"ERROR one", all[3], "ERROR three"}},
		{client.FilterLogEventsInput{FilterPattern: aws.String("?START ?END")}, []string{"START one", "END two"}},
		{client.FilterLogEventsInput{FilterPattern: aws.String(`{ $.level = "ERR*" && $.n > 3 }`)}, all[3:4]},
		{client.FilterLogEventsInput{FilterPattern: aws.String("[what != ERROR, number]"), LogStreamNames: []string{"s1"}}, []string{"START one"}},
	} {
		for _, limit := range []int32{1, 2, 100} {
			tc.in.LogGroupIdentifier, tc.in.Limit = aws.String(arnG), &limit
			same(t, fmt.Sprintf("%+v", tc.in), tc.want, h.filter(t, tc.in))
		}
	}
	out := must(h.in("eu-west-1").FilterLogEvents(t.Context(), &client.FilterLogEventsInput{LogGroupName: aws.String("g")}))(t)
	same(t, "events of another region", 0, len(out.Events))
	e := must(h.FilterLogEvents(t.Context(), &client.FilterLogEventsInput{LogGroupName: aws.String("g"), Limit: aws.Int32(1)}))(t).Events[0]
	same(t, "event", "s1 START one", *e.LogStreamName+" "+*e.Message)
	same(t, "its times", []int64{*ms(0), *ms(0)}, []int64{*e.Timestamp, *e.IngestionTime})
}

// TestFilterInBoundedPages: a page holds a megabyte, however many events match, and looks at no more than its share of
// a group in which nothing does.
func TestFilterInBoundedPages(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	h.fill("g", "s", "a")
	st, err := h.store.LookUp(here, "g", "s")
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 200<<10)
	for i := range 200 {
		if err := st.Put(t.Context(), logstore.Event{Time: noon.Add(time.Duration(i) * time.Second), Message: []byte(big)}); err != nil {
			t.Fatal(err)
		}
	}
	first := must(h.FilterLogEvents(t.Context(), &client.FilterLogEventsInput{LogGroupName: aws.String("g"), FilterPattern: aws.String("xxx")}))(t)
	if n := len(first.Events); n != 6 || first.NextToken == nil {
		t.Errorf("a page of %d events of 200 KiB; token %v", n, first.NextToken)
	}
	pages := client.NewFilterLogEventsPaginator(h, &client.FilterLogEventsInput{LogGroupName: aws.String("g"), FilterPattern: aws.String("nothing")})
	count := 0
	for ; pages.HasMorePages(); count++ {
		if out := must(pages.NextPage(t.Context()))(t); len(out.Events) != 0 {
			t.Fatalf("%d events match", len(out.Events))
		}
	}
	if count != 2 {
		t.Errorf("looking through 40 MiB took %d pages", count)
	}
}

// TestFollow follows a group as `aws logs tail --follow` does: FilterLogEvents from the last event's time on, again and
// again, keeping the IDs that it has seen.
func TestFollow(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	h.fill("g", "s", "abc")
	var got []string
	seen := map[string]bool{}
	start := ms(-1)
	look := func() {
		in := &client.FilterLogEventsInput{LogGroupName: aws.String("g"), StartTime: start, Interleaved: aws.Bool(true), Limit: aws.Int32(2)} //nolint:staticcheck // older clients call it
		for pages := client.NewFilterLogEventsPaginator(h, in); pages.HasMorePages(); {
			for _, e := range must(pages.NextPage(t.Context()))(t).Events {
				if !seen[*e.EventId] {
					seen[*e.EventId] = true
					got = append(got, *e.Message)
				}
				start = e.Timestamp
			}
		}
	}
	look()
	look()
	h.put("g", "s", 2000, "d", "e") // d in the same millisecond as c
	look()
	same(t, "what was seen", []string{"a", "b", "c", "d", "e"}, got)
}

func TestRetention(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{SegmentBytes: 1000})
	h.createGroup("g")
	h.createStream("g", "s")
	for day := range 10 {
		h.clock.Store(*ms(int64(day) * 86_400_000))
		h.put("g", "s", int64(day)*86_400_000, strings.Repeat("x", 600)+fmt.Sprint(day))
	}
	before := *h.only(t).StoredBytes
	must(h.PutRetentionPolicy(t.Context(), &client.PutRetentionPolicyInput{LogGroupName: aws.String("g"), RetentionInDays: aws.Int32(3)}))(t)
	// What has expired is hidden at once, and its segments go in the background.
	if got := h.filter(t, client.FilterLogEventsInput{LogGroupName: aws.String("g")}); len(got) != 4 || !strings.HasSuffix(got[0], "6") {
		t.Errorf("%d events are left, from %q on", len(got), got[0])
	}
	got, _, _ := h.get(t, client.GetLogEventsInput{StartFromHead: aws.Bool(true), Limit: aws.Int32(1)})
	same(t, "the first event", "6", got[600:])
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for now := before; now > before/2; now = *h.only(t).StoredBytes {
		if ctx.Err() != nil {
			t.Fatalf("%d bytes of %d are still there", now, before)
		}
	}
}

func TestTestMetricFilter(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	out := must(h.TestMetricFilter(t.Context(), &client.TestMetricFilterInput{
		FilterPattern:    aws.String("[ip, ..., status = 4*, size]"),
		LogEventMessages: []string{"no", `127.0.0.1 - "GET /" 404 12`, `127.0.0.1 - "GET /" 200 12`, "1 2 400 3"},
	}))(t)
	type match struct {
		number  int64
		message string
		values  map[string]string
	}
	var got []string
	for _, m := range out.Matches {
		got = append(got, fmt.Sprint(match{m.EventNumber, *m.EventMessage, m.ExtractedValues}))
	}
	same(t, "matches", []string{
		fmt.Sprint(match{2, `127.0.0.1 - "GET /" 404 12`, map[string]string{"$ip": "127.0.0.1", "$2": "-", "$3": "GET /", "$status": "404", "$size": "12"}}),
		fmt.Sprint(match{4, "1 2 400 3", map[string]string{"$ip": "1", "$2": "2", "$status": "400", "$size": "3"}}),
	}, got)
}
