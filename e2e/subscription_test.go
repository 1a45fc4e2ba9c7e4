package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/internal/sample"
)

// TestSubscriptionAfterCrash: log events that were acknowledged reach the function that is subscribed to them, though the
// daemon is killed in between.
func TestSubscriptionAfterCrash(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	w := start(t)
	role, err := w.Role(t.Context(), "fn")
	if err != nil {
		t.Fatal(err)
	}
	pack, err := sample.Zip(map[string]string{"app.py": `
import base64, gzip, json
def handler(event, context):
    for e in json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))["logEvents"]:
        print("got " + e["message"])
`})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.CreateFunction(t.Context(), role, sample.Function{Name: "subscriber", Runtime: w.python(), Handler: "app.handler", Zip: pack}, 128); err != nil {
		t.Fatal(err)
	}
	group, stream := aws.String("g"), aws.String("s")
	logs := cloudwatchlogs.NewFromConfig(w.Config())
	_, err = logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group})
	if err == nil {
		_, err = logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream})
	}
	if err == nil {
		_, err = lambda.NewFromConfig(w.Config()).AddPermission(t.Context(), &lambda.AddPermissionInput{
			FunctionName: aws.String("subscriber"), StatementId: aws.String("logs"), Action: aws.String("lambda:InvokeFunction"),
			Principal: aws.String("logs.us-east-1.amazonaws.com"),
		})
	}
	if err == nil {
		_, err = logs.PutSubscriptionFilter(t.Context(), &cloudwatchlogs.PutSubscriptionFilterInput{
			LogGroupName: group, FilterName: aws.String("all"), FilterPattern: aws.String(""),
			DestinationArn: aws.String("arn:aws:lambda:us-east-1:000000000000:function:subscriber"),
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		message := fmt.Sprint("event ", round)
		_, err := cloudwatchlogs.NewFromConfig(w.Config()).PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{
			LogGroupName: group, LogStreamName: stream,
			LogEvents: []types.InputLogEvent{{Message: &message, Timestamp: aws.Int64(time.Now().UnixMilli())}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Crash(); err != nil {
			t.Fatal(err)
		}
		if err := w.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		waitFor(t, message+" to be delivered", func() bool { return strings.Contains(w.printed(t.Context(), "subscriber"), "got "+message) })
	}
}

// printed is what a function has logged, empty as long as that is nothing.
func (w *world) printed(ctx context.Context, name string) string {
	page, err := cloudwatchlogs.NewFromConfig(w.Config()).FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: aws.String("/aws/lambda/" + name)})
	if err != nil {
		return ""
	}
	var text strings.Builder
	for _, e := range page.Events {
		text.WriteString(aws.ToString(e.Message))
	}
	return text.String()
}
