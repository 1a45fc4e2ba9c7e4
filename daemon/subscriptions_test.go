package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"

	"hotaru/function"
	cloudwatch "hotaru/services/logs"
)

// subscriber prints the log events that it gets.
const subscriber = `
import base64, gzip, json
def handler(event, context):
    data = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    for e in data["logEvents"]:
        print("got", data["logGroup"], data["subscriptionFilters"], e["message"].strip())
`

func (h *harness) subscribe(group, pattern, function string) error {
	_, err := h.cloudwatch().PutSubscriptionFilter(h.t.Context(), &cloudwatchlogs.PutSubscriptionFilterInput{
		LogGroupName: &group, FilterName: aws.String("errors"), FilterPattern: &pattern,
		DestinationArn: aws.String("arn:aws:lambda:us-east-1:000000000000:function:" + function),
	})
	return err
}

// permitLogs adds a statement to a function's policy, as AWS's guide to subscription filters has it.
func (h *harness) permitLogs(name, principal, group, statement string) {
	h.t.Helper()
	in := &lambda.AddPermissionInput{
		FunctionName: &name, StatementId: &statement, Action: aws.String("lambda:InvokeFunction"), Principal: &principal,
		SourceAccount: aws.String("000000000000"),
	}
	if group != "" {
		in.SourceArn = aws.String("arn:aws:logs:us-east-1:000000000000:log-group:" + group + ":*")
	}
	if _, err := h.lambda.AddPermission(h.t.Context(), in); err != nil {
		h.t.Fatal(err)
	}
}

// got waits until the subscriber has printed n events, and returns them.
func (h *harness) got(n int) []string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	for {
		var lines []string
		page, err := h.cloudwatch().FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: aws.String("/aws/lambda/subscriber"), FilterPattern: aws.String(`"got "`)})
		if err != nil && ctx.Err() != nil {
			h.t.Fatalf("%v; so far %q", err, lines)
		}
		if err == nil { // the group is made by the first delivery
			for _, e := range page.Events {
				lines = append(lines, strings.TrimSpace(*e.Message))
			}
		}
		if len(lines) >= n {
			return lines
		}
	}
}

// TestSubscriptionFilter: what a function prints reaches another one, also what it printed while that was not there.
func TestSubscriptionFilter(t *testing.T) {
	data := t.TempDir()
	h := start(t, func(c *Config) { c.DataDir = data })
	h.createPython("source", "def handler(event, context):\n    print(event)\n")
	h.createPython("subscriber", subscriber)
	h.ok("source", `"ERROR before anybody listened"`)
	if err := h.subscribe("/aws/lambda/source", "ERROR", "missing"); err == nil || !strings.Contains(err.Error(), "Could not execute the lambda function.") {
		t.Errorf("a function that is not there: %v", err)
	}
	const unable = "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function."
	h.permitLogs("subscriber", "s3.amazonaws.com", "", "another-service")
	h.permitLogs("subscriber", "logs.us-east-1.amazonaws.com", "/aws/lambda/other", "another-group")
	h.permitLogs("subscriber", "logs.eu-west-1.amazonaws.com", "", "another-region")
	if err := h.subscribe("/aws/lambda/source", "ERROR", "subscriber"); err == nil || !strings.Contains(err.Error(), "InvalidParameterException: "+unable) {
		t.Errorf("a function whose policy is for others: %v", err)
	}
	h.permitLogs("subscriber", "logs.us-east-1.amazonaws.com", "/aws/lambda/source", "logs")
	if err := h.subscribe("/aws/lambda/source", "ERROR", "subscriber"); err != nil {
		t.Fatal(err)
	}
	h.ok("source", `"all is well"`)
	h.ok("source", `"ERROR one"`)
	const from = "got /aws/lambda/source ['errors'] "
	if lines := h.got(1); !slices.Equal(lines, []string{from + "ERROR one"}) {
		t.Errorf("the subscriber got %q", lines)
	}

	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Daemon = start(t, func(c *Config) { c.DataDir = data }).Daemon
	h.connect(h.Endpoint().Credential.AccessKeyID, h.Endpoint().Credential.SecretAccessKey)
	h.ok("source", `"ERROR two"`)
	if lines := h.got(2); !slices.Equal(lines, []string{from + "ERROR one", from + "ERROR two"}) {
		t.Errorf("after a restart the subscriber has got %q", lines)
	}
	if err := h.subscribe("/aws/lambda/subscriber", "", "subscriber"); err == nil || !strings.Contains(err.Error(), "without end") {
		t.Errorf("its own log: %v", err)
	}
}

// TestSubscribersMustBeAllowed: whoever subscribes a function has it run, and must be allowed to.
func TestSubscribersMustBeAllowed(t *testing.T) {
	h := start(t)
	h.createPython("subscriber", subscriber)
	if _, err := h.cloudwatch().CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("g")}); err != nil {
		t.Fatal(err)
	}
	h.permitLogs("subscriber", "logs.amazonaws.com", "", "logs")
	root := h.Endpoint().Credential
	if _, err := h.iam.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("reader")}); err != nil {
		t.Fatal(err)
	}
	key, err := h.iam.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("reader")})
	if err != nil {
		t.Fatal(err)
	}
	attempt := func(actions string) error {
		h.connect(root.AccessKeyID, root.SecretAccessKey)
		_, err := h.iam.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("reader"), PolicyName: aws.String("p"),
			PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"*"}]}`)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.cloudwatchAs(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey).PutSubscriptionFilter(t.Context(),
			&cloudwatchlogs.PutSubscriptionFilterInput{LogGroupName: aws.String("g"), FilterName: aws.String("f"), FilterPattern: aws.String(""),
				DestinationArn: aws.String("arn:aws:lambda:us-east-1:000000000000:function:subscriber")})
		return err
	}
	err = attempt(`"logs:*"`)
	if api := smithy.APIError(nil); !errors.As(err, &api) || api.ErrorCode() != "AccessDeniedException" ||
		!strings.Contains(api.ErrorMessage(), "lambda:InvokeFunction on resource: arn:aws:lambda:us-east-1:000000000000:function:subscriber") {
		t.Errorf("without lambda:InvokeFunction: %v", err)
	}
	if err := attempt(`"logs:PutSubscriptionFilter","lambda:InvokeFunction"`); err != nil {
		t.Errorf("with it: %v", err)
	}
}

// TestDeliveryErrors: what the log delivery is told of functions that cannot be run.
func TestDeliveryErrors(t *testing.T) {
	h := start(t)
	h.createPython("fails", "def handler(event, context):\n    raise ValueError()\n")
	f := logFunctions{h.functions, h.functions.ResourcePolicy, h.Daemon.lambda.Invoker}
	const prefix = "arn:aws:lambda:us-east-1:000000000000:function:"
	for arn, want := range map[string]error{
		"fails": cloudwatch.ErrNoFunction, prefix + "nope": cloudwatch.ErrNoFunction, prefix + "fails:nope": cloudwatch.ErrNoFunction,
		prefix + "fails": cloudwatch.ErrFunctionFailed,
	} {
		if err := f.Deliver(t.Context(), arn, []byte("{}")); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", arn, err, want)
		}
	}
	if group, err := f.LogGroup(t.Context(), prefix+"fails"); group != function.DefaultLogGroup("fails") || err != nil {
		t.Errorf("log group %q, %v", group, err)
	}
	if _, err := f.LogGroup(t.Context(), prefix+"nope"); !errors.Is(err, cloudwatch.ErrNoFunction) {
		t.Errorf("no function: %v", err)
	}
}
