package logs_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"hotaru/services/logs/logstore"
)

const arnG = "arn:aws:logs:us-east-1:" + account + ":log-group:g"

// only is the one group that there is.
func (h *house) only(t *testing.T) types.LogGroup {
	t.Helper()
	groups := must(h.DescribeLogGroups(t.Context(), &client.DescribeLogGroupsInput{}))(t).LogGroups
	if len(groups) != 1 {
		t.Fatalf("groups: %v", groups)
	}
	return groups[0]
}

func (h *house) tags(t *testing.T) map[string]string {
	t.Helper()
	byName := must(h.ListTagsLogGroup(t.Context(), &client.ListTagsLogGroupInput{LogGroupName: aws.String("g")}))(t).Tags //nolint:staticcheck // older clients call it
	byARN := must(h.ListTagsForResource(t.Context(), &client.ListTagsForResourceInput{ResourceArn: aws.String(arnG)}))(t).Tags
	same(t, "tags by name and by ARN", byName, byARN)
	return byARN
}

func TestGroupLife(t *testing.T) {
	dir := t.TempDir()
	h := newHouse(t, dir, logstore.Options{})
	ctx, g := t.Context(), aws.String("g")
	must(h.CreateLogGroup(ctx, &client.CreateLogGroupInput{LogGroupName: g, Tags: map[string]string{"a": "1", "b": "2"},
		LogGroupClass: types.LogGroupClassInfrequentAccess, DeletionProtectionEnabled: aws.Bool(true)}))(t)
	must(h.PutRetentionPolicy(ctx, &client.PutRetentionPolicyInput{LogGroupName: g, RetentionInDays: aws.Int32(7)}))(t)
	must(h.TagLogGroup(ctx, &client.TagLogGroupInput{LogGroupName: g, Tags: map[string]string{"c": "3", "a": "4"}}))(t) //nolint:staticcheck // older clients call it
	must(h.UntagLogGroup(ctx, &client.UntagLogGroupInput{LogGroupName: g, Tags: []string{"b", "x"}}))(t)                //nolint:staticcheck // older clients call it
	must(h.TagResource(ctx, &client.TagResourceInput{ResourceArn: aws.String(arnG), Tags: map[string]string{"d": "5", "e": "6"}}))(t)
	must(h.UntagResource(ctx, &client.UntagResourceInput{ResourceArn: aws.String(arnG), TagKeys: []string{"e"}}))(t)
	tooMany := map[string]string{}
	for i := range 50 {
		tooMany["t"+strconv.Itoa(i)] = ""
	}
	refused(t, "53 tags", call(h.TagResource, &client.TagResourceInput{ResourceArn: aws.String(arnG), Tags: tooMany})(),
		"TooManyTagsException", "The log group would have 53 tags; it can have 50.")

	// All of it outlives the process.
	h.close()
	h = newHouse(t, dir, logstore.Options{})
	shown := h.only(t)
	same(t, "what is stored", true, *shown.StoredBytes > 0)
	shown.StoredBytes = nil
	for name, pair := range map[string][2]any{
		"name": {"g", *shown.LogGroupName}, "ARN": {arnG + ":*", *shown.Arn}, "group ARN": {arnG, *shown.LogGroupArn},
		"class": {types.LogGroupClassInfrequentAccess, shown.LogGroupClass}, "retention": {int32(7), *shown.RetentionInDays},
		"protected": {true, *shown.DeletionProtectionEnabled}, "created": {noon.UnixMilli(), *shown.CreationTime},
		"filters": {int32(0), *shown.MetricFilterCount},
	} {
		same(t, name, pair[0], pair[1])
	}
	same(t, "tags", map[string]string{"a": "4", "c": "3", "d": "5"}, h.tags(t))

	refused(t, "deleting a protected group", call(h.DeleteLogGroup, &client.DeleteLogGroupInput{LogGroupName: g})(),
		"ValidationException", "Deletion protection is enabled for the log group: disable it first.")
	must(h.PutLogGroupDeletionProtection(ctx, &client.PutLogGroupDeletionProtectionInput{LogGroupIdentifier: aws.String(arnG), DeletionProtectionEnabled: aws.Bool(false)}))(t)
	must(h.DeleteRetentionPolicy(ctx, &client.DeleteRetentionPolicyInput{LogGroupName: g}))(t)
	if shown := h.only(t); shown.RetentionInDays != nil || *shown.DeletionProtectionEnabled {
		t.Errorf("after taking both back: %+v", shown)
	}
	must(h.DeleteLogGroup(ctx, &client.DeleteLogGroupInput{LogGroupName: g}))(t)
	refused(t, "deleting it twice", call(h.DeleteLogGroup, &client.DeleteLogGroupInput{LogGroupName: g})(), missing, noGroup)

	// The next group of the name is another one.
	h.clock.Store(*ms(60_000))
	h.createGroup("g")
	same(t, "tags of the next group", map[string]string{}, h.tags(t))
	same(t, "class of the next group", types.LogGroupClassStandard, h.only(t).LogGroupClass)
	must(h.DeleteLogGroup(ctx, &client.DeleteLogGroupInput{LogGroupName: g}))(t)
}

// TestRecordOfAnEarlierGroup: what was said of a group does not hold for another of its name that came into being
// behind the service's back.
func TestRecordOfAnEarlierGroup(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	g := aws.String("g")
	must(h.CreateLogGroup(t.Context(), &client.CreateLogGroupInput{LogGroupName: g, Tags: map[string]string{"a": "1"}}))(t)
	if err := h.store.DeleteGroup(t.Context(), here, "g"); err != nil {
		t.Fatal(err)
	}
	h.clock.Store(*ms(60_000))
	if _, err := h.store.Stream(here, "g", "s"); err != nil {
		t.Fatal(err)
	}
	same(t, "tags", map[string]string{}, h.tags(t))
	must(h.TagLogGroup(t.Context(), &client.TagLogGroupInput{LogGroupName: g, Tags: map[string]string{"b": "2"}}))(t) //nolint:staticcheck // older clients call it
	same(t, "tags", map[string]string{"b": "2"}, h.tags(t))
}

func TestDescribeLogGroups(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	ctx := t.Context()
	h.createGroup("/aws/lambda/a")
	h.createGroup("/aws/lambda/b")
	h.createGroup("other")
	must(h.in("eu-west-1").CreateLogGroup(ctx, &client.CreateLogGroupInput{LogGroupName: aws.String("/aws/lambda/elsewhere")}))(t)
	for _, tc := range []struct {
		in   client.DescribeLogGroupsInput
		want []string
	}{
		{client.DescribeLogGroupsInput{}, []string{"/aws/lambda/a", "/aws/lambda/b", "other"}},
		{client.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/aws/lambda/")}, []string{"/aws/lambda/a", "/aws/lambda/b"}},
		{client.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("lambda")}, nil},
		{client.DescribeLogGroupsInput{LogGroupNamePattern: aws.String("lambda/b")}, []string{"/aws/lambda/b"}},
		{client.DescribeLogGroupsInput{LogGroupNamePattern: aws.String("LAMBDA")}, nil},
		{client.DescribeLogGroupsInput{LogGroupClass: types.LogGroupClassInfrequentAccess}, nil},
		{client.DescribeLogGroupsInput{LogGroupIdentifiers: []string{"other", "arn:aws:logs:us-east-1:" + account + ":log-group:/aws/lambda/a"}}, []string{"/aws/lambda/a", "other"}},
	} {
		for _, limit := range []int32{1, 2, 50} {
			tc.in.Limit = &limit
			var got []string
			for pages := client.NewDescribeLogGroupsPaginator(h, &tc.in); pages.HasMorePages(); {
				for _, g := range must(pages.NextPage(ctx))(t).LogGroups {
					got = append(got, *g.LogGroupName)
				}
			}
			same(t, fmt.Sprintf("%+v", tc.in), tc.want, got)
		}
	}
}

func TestDescribeLogStreams(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	ctx := t.Context()
	h.createGroup("g")
	for _, name := range []string{"c", "a", "b1", "b2", "empty"} {
		h.createStream("g", name)
	}
	h.put("g", "a", 30, "x", "y")
	h.put("g", "b2", 10, "x")
	h.put("g", "c", 20, "x")
	h.put("g", "b1", 20, "x")
	for _, tc := range []struct {
		in   client.DescribeLogStreamsInput
		want string
	}{
		{client.DescribeLogStreamsInput{}, "[a b1 b2 c empty]"},
		{client.DescribeLogStreamsInput{Descending: aws.Bool(true)}, "[empty c b2 b1 a]"},
		{client.DescribeLogStreamsInput{LogStreamNamePrefix: aws.String("b")}, "[b1 b2]"},
		{client.DescribeLogStreamsInput{OrderBy: types.OrderByLastEventTime}, "[empty b2 b1 c a]"},
		{client.DescribeLogStreamsInput{OrderBy: types.OrderByLastEventTime, Descending: aws.Bool(true)}, "[a c b1 b2 empty]"},
	} {
		for _, limit := range []int32{1, 2, 50} {
			tc.in.LogGroupIdentifier, tc.in.Limit = aws.String(arnG), &limit
			var got []string
			for pages := client.NewDescribeLogStreamsPaginator(h, &tc.in); pages.HasMorePages(); {
				for _, s := range must(pages.NextPage(ctx))(t).LogStreams {
					got = append(got, *s.LogStreamName)
				}
			}
			same(t, fmt.Sprintf("%+v", tc.in), tc.want, fmt.Sprint(got))
		}
	}
	streams := must(h.DescribeLogStreams(ctx, &client.DescribeLogStreamsInput{LogGroupName: aws.String("g")}))(t).LogStreams
	a, empty := streams[0], streams[4]
	same(t, "first event", *ms(30), *a.FirstEventTimestamp)
	same(t, "last event", *ms(31), *a.LastEventTimestamp)
	same(t, "last ingestion", *ms(0), *a.LastIngestionTime)
	same(t, "ARN", arnG+":log-stream:a", *a.Arn)
	if empty.FirstEventTimestamp != nil || empty.LastEventTimestamp != nil || empty.LastIngestionTime != nil || *empty.CreationTime != *ms(0) {
		t.Errorf("a stream without events: %+v", empty)
	}
	must(h.DeleteLogStream(ctx, &client.DeleteLogStreamInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("a")}))(t)
	refused(t, "reading a deleted stream", call(h.GetLogEvents, &client.GetLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("a")})(), missing, noStream)
}
