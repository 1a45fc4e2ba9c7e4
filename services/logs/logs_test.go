package logs_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hotaru/awsapi"
	"hotaru/awsapi/server"
	"hotaru/awsapi/sigv4"
	"hotaru/internal/wholebody"
	"hotaru/services/logs"
	"hotaru/services/logs/logstore"
	"hotaru/store/pebble"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account = "123456789012"

// noon is what the service's clock shows.
var noon = time.UnixMilli(1_800_000_000_000)

// here is where the clients are.
var here = awsapi.Scope{Partition: "aws", Account: account, Region: "us-east-1"}

func ms(after int64) *int64 { return aws.Int64(noon.UnixMilli() + after) }

// house is a service over stores in a directory, with an SDK client in front.
type house struct {
	*client.Client
	t       testing.TB
	service *logs.Service
	state   *pebble.Store
	store   *logstore.Store
	sink    *sink
	front   string
	// clock is in Unix milliseconds.
	clock    atomic.Int64
	stopping chan struct{}
	close    func()
}

func newHouse(t testing.TB, dir string, o logstore.Options) *house {
	t.Helper()
	h := &house{t: t, stopping: make(chan struct{})}
	h.sink = &sink{t: t, deliveries: make(chan delivery, 100)}
	h.clock.Store(noon.UnixMilli())
	o.Now = func() time.Time { return time.UnixMilli(h.clock.Load()) }
	state, err := pebble.Open(t.Context(), pebble.Options{Dir: filepath.Join(dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	if h.store, err = logstore.Open(filepath.Join(dir, "logs"), o); err != nil {
		t.Fatal(err)
	}
	if h.service, err = logs.Open(t.Context(), logs.Options{State: state, Logs: h.store, Now: o.Now, Stopping: h.stopping}); err != nil {
		t.Fatal(err)
	}
	h.state = state
	h.service.Deliver(h.sink)
	s, err := server.New(server.Options{Account: account, Authenticator: sigv4.NewVerifier(sigv4.Options{Credentials: root})},
		h.service.Handlers().Binding())
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	h.front = front.URL
	h.Client = h.in("us-east-1")
	h.close = sync.OnceFunc(func() {
		front.Close()
		h.service.Close()
		if err := errors.Join(h.store.Close(), state.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.close)
	return h
}

// in is a client of a region. Whatever host it asks for, it gets the house: the SDK puts "stream-" before the host of a
// live tail, which resolves to nothing here.
func (h *house) in(region string) *client.Client {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, h.front[len("http://"):])
	}}
	return client.New(client.Options{
		BaseEndpoint: &h.front, Region: region, RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: wholebody.Transport{RoundTripper: transport}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
	})
}

func root(context.Context, string, string) ([]byte, awsapi.Identity, error) {
	return []byte("secret"), awsapi.Identity{Account: account, ARN: "arn:aws:iam::" + account + ":root"}, nil
}

// must passes a good answer through.
func must[T any](out T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// refused wants an error with this code and message.
func refused(t *testing.T, what string, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || api.ErrorMessage() != message {
		t.Errorf("%s: %v, want %s: %s", what, err, code, message)
	}
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

func (h *house) createGroup(name string) {
	h.t.Helper()
	must(h.CreateLogGroup(h.t.Context(), &client.CreateLogGroupInput{LogGroupName: &name}))(h.t)
}

func (h *house) createStream(group, name string) {
	h.t.Helper()
	must(h.CreateLogStream(h.t.Context(), &client.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &name}))(h.t)
}

// put puts events, a millisecond apart from after on.
func (h *house) put(group, stream string, after int64, messages ...string) *client.PutLogEventsOutput {
	h.t.Helper()
	in := &client.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream}
	for i, m := range messages {
		in.LogEvents = append(in.LogEvents, types.InputLogEvent{Timestamp: ms(after + int64(i)), Message: &m})
	}
	return must(h.PutLogEvents(h.t.Context(), in))(h.t)
}

// fill makes a group with a stream of events a, b, c ... a second apart.
func (h *house) fill(group, stream, letters string) {
	h.t.Helper()
	h.createGroup(group)
	h.createStream(group, stream)
	for i, letter := range strings.Split(letters, "") {
		h.put(group, stream, int64(i)*1000, letter)
	}
}

const (
	invalid  = "InvalidParameterException"
	missing  = "ResourceNotFoundException"
	noGroup  = "The specified log group does not exist."
	noStream = "The specified log stream does not exist."
	badToken = "The specified nextToken is invalid."
)

func TestRefusals(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	ctx := t.Context()
	h.createGroup("g")
	h.createStream("g", "s")
	g, s, nope, arn := aws.String("g"), aws.String("s"), aws.String("nope"), aws.String("arn:aws:logs:us-east-1:"+account+":log-group:g")
	for _, tc := range []struct {
		what          string
		do            func() error
		code, message string
	}{
		{"group again", call(h.CreateLogGroup, &client.CreateLogGroupInput{LogGroupName: g}), "ResourceAlreadyExistsException", "The specified log group already exists"},
		{"group with a key", call(h.CreateLogGroup, &client.CreateLogGroupInput{LogGroupName: nope, KmsKeyId: aws.String("k")}), invalid, "The specified KMS Key Id could not be found."},
		{"delete", call(h.DeleteLogGroup, &client.DeleteLogGroupInput{LogGroupName: nope}), missing, noGroup},
		{"stream again", call(h.CreateLogStream, &client.CreateLogStreamInput{LogGroupName: g, LogStreamName: s}), "ResourceAlreadyExistsException", "The specified log stream already exists"},
		{"stream of no group", call(h.CreateLogStream, &client.CreateLogStreamInput{LogGroupName: nope, LogStreamName: s}), missing, noGroup},
		{"delete no stream", call(h.DeleteLogStream, &client.DeleteLogStreamInput{LogGroupName: g, LogStreamName: nope}), missing, noStream},
		{"delete stream of no group", call(h.DeleteLogStream, &client.DeleteLogStreamInput{LogGroupName: nope, LogStreamName: s}), missing, noGroup},
		{"streams of no group", call(h.DescribeLogStreams, &client.DescribeLogStreamsInput{LogGroupName: nope}), missing, noGroup},
		{"streams of nothing", call(h.DescribeLogStreams, &client.DescribeLogStreamsInput{}), invalid, "Either LogGroup name or LogGroup identifier must be specified."},
		{"streams of two", call(h.DescribeLogStreams, &client.DescribeLogStreamsInput{LogGroupName: g, LogGroupIdentifier: arn}), invalid, "LogGroup name and LogGroup identifier are mutually exclusive parameters."},
		{"streams by time with a prefix", call(h.DescribeLogStreams, &client.DescribeLogStreamsInput{LogGroupName: g, OrderBy: "LastEventTime", LogStreamNamePrefix: s}), invalid, "Cannot order by LastEventTime with a logStreamNamePrefix."},
		{"streams from a wrong token", call(h.DescribeLogStreams, &client.DescribeLogStreamsInput{LogGroupName: g, NextToken: aws.String("?")}), invalid, badToken},
		{"groups by two names", call(h.DescribeLogGroups, &client.DescribeLogGroupsInput{LogGroupNamePrefix: g, LogGroupNamePattern: g}), invalid, "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."},
		{"groups by identifiers and more", call(h.DescribeLogGroups, &client.DescribeLogGroupsInput{LogGroupNamePrefix: g, LogGroupIdentifiers: []string{"g"}}), invalid, "LogGroup identifiers and other filters are mutually exclusive parameters."},
		{"groups from a wrong token", call(h.DescribeLogGroups, &client.DescribeLogGroupsInput{NextToken: aws.String("?")}), invalid, badToken},
		{"events of no group", call(h.GetLogEvents, &client.GetLogEventsInput{LogGroupName: nope, LogStreamName: s}), missing, noGroup},
		{"events of no stream", call(h.GetLogEvents, &client.GetLogEventsInput{LogGroupName: g, LogStreamName: nope}), missing, noStream},
		{"events of another account", call(h.GetLogEvents, &client.GetLogEventsInput{LogGroupIdentifier: aws.String("arn:aws:logs:us-east-1:999999999999:log-group:g"), LogStreamName: s}), missing, noGroup},
		{"events from a wrong token", call(h.GetLogEvents, &client.GetLogEventsInput{LogGroupName: g, LogStreamName: s, NextToken: aws.String("f/1/s")}), invalid, badToken},
		{"events from a negative token", call(h.GetLogEvents, &client.GetLogEventsInput{LogGroupName: g, LogStreamName: s, NextToken: aws.String("f/-" + strings.Repeat("0", 55) + "/s")}), invalid, badToken},
		{"filter of no group", call(h.FilterLogEvents, &client.FilterLogEventsInput{LogGroupName: nope}), missing, noGroup},
		{"filter of nothing", call(h.FilterLogEvents, &client.FilterLogEventsInput{}), invalid, "Either LogGroup name or LogGroup identifier must be specified."},
		{"filter of no stream", call(h.FilterLogEvents, &client.FilterLogEventsInput{LogGroupName: g, LogStreamNames: []string{"s", "nope"}}), missing, noStream},
		{"filter of streams and a prefix", call(h.FilterLogEvents, &client.FilterLogEventsInput{LogGroupName: g, LogStreamNames: []string{"s"}, LogStreamNamePrefix: s}), invalid, "LogStream names and LogStream name prefix are mutually exclusive parameters."},
		{"filter by no pattern", call(h.FilterLogEvents, &client.FilterLogEventsInput{LogGroupName: g, FilterPattern: aws.String("{ $.a = ")}), invalid, "If a filter pattern starts with '{' it must end with '}'"},
		{"filter from a wrong token", call(h.FilterLogEvents, &client.FilterLogEventsInput{LogGroupName: g, NextToken: aws.String("f")}), invalid, badToken},
		{"filter newest first from of old", call(h.FilterLogEvents, &client.FilterLogEventsInput{LogGroupName: g, StartFromHead: aws.Bool(false)}), invalid, "startFromHead can be false only with a startTime of 2024-01-01 or later."},
		{"test of no pattern", call(h.TestMetricFilter, &client.TestMetricFilterInput{FilterPattern: aws.String("a.b"), LogEventMessages: []string{"x"}}), invalid, "Invalid character(s) in term 'a.b'"},
		{"retention of no group", call(h.PutRetentionPolicy, &client.PutRetentionPolicyInput{LogGroupName: nope, RetentionInDays: aws.Int32(1)}), missing, noGroup},
		{"retention of two days", call(h.PutRetentionPolicy, &client.PutRetentionPolicyInput{LogGroupName: g, RetentionInDays: aws.Int32(2)}), invalid, "1 validation error detected: Value '2' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]"},
		{"no retention of no group", call(h.DeleteRetentionPolicy, &client.DeleteRetentionPolicyInput{LogGroupName: nope}), missing, noGroup},
		{"tags of no group", call(h.ListTagsForResource, &client.ListTagsForResourceInput{ResourceArn: nope}), missing, noGroup},
		{"protect no group", call(h.PutLogGroupDeletionProtection, &client.PutLogGroupDeletionProtectionInput{LogGroupIdentifier: nope, DeletionProtectionEnabled: aws.Bool(true)}), missing, noGroup},
		{"queries are not built", call(h.StartQuery, &client.StartQueryInput{StartTime: ms(0), EndTime: ms(1), QueryString: s}), "NotImplementedException", ""},
	} {
		err := tc.do()
		var api smithy.APIError
		if tc.message == "" && errors.As(err, &api) && api.ErrorCode() == tc.code {
			continue
		}
		refused(t, tc.what, err, tc.code, tc.message)
	}
	if groups := must(h.DescribeLogGroups(ctx, &client.DescribeLogGroupsInput{}))(t).LogGroups; len(groups) != 1 {
		t.Errorf("refusals left groups: %v", groups)
	}
}

// call binds an operation of the client to its input.
func call[In, Out any](operation func(context.Context, *In, ...func(*client.Options)) (*Out, error), in *In) func() error {
	return func() error {
		_, err := operation(context.Background(), in)
		return err
	}
}
