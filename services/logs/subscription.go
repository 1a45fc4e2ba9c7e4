package logs

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"hotaru/awsapi"
	api "hotaru/awsapi/logs"
	"hotaru/services/logs/filter"
	"hotaru/store"
)

// maxSubscriptions is how many subscription filters a group may have
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutSubscriptionFilter.html).
const maxSubscriptions = 2

// subscription is a subscription filter: it sends what comes into its group, and matches, to a function.
type subscription struct {
	// ID tells it from an earlier one of its name.
	ID           string `json:"id"`
	Name         string `json:"name"`
	Pattern      string `json:"pattern,omitempty"`
	Destination  string `json:"destination"`
	Distribution string `json:"distribution,omitempty"`
	// Created is in Unix milliseconds.
	Created int64 `json:"created"`
}

func (s *Service) putSubscriptionFilter(ctx context.Context, in *api.PutSubscriptionFilterRequest) (*api.PutSubscriptionFilterOutput, error) {
	if _, err := filter.Parse(*in.FilterPattern); err != nil {
		return nil, awsapi.Errorf(api.InvalidParameterException, "%s", err)
	}
	if err := refuseNotBuilt(in); err != nil {
		return nil, err
	}
	g, err := s.group(ctx, *in.LogGroupName)
	if err != nil {
		return nil, err
	}
	if err := s.checkDestination(ctx, g, in); err != nil {
		return nil, err
	}
	next := subscription{
		ID: uuid.NewString(), Name: *in.FilterName, Pattern: *in.FilterPattern, Destination: *in.DestinationArn,
		Distribution: value(in.Distribution), Created: s.now().UnixMilli(),
	}
	defer s.reconcile(g.scope, g.Name)
	return nil, s.changeWith(ctx, g, func(r *record) ([]store.Change, error) {
		at := slices.IndexFunc(r.Subscriptions, func(old subscription) bool { return old.Name == next.Name })
		r.Subscriptions = slices.Clone(r.Subscriptions)
		if at >= 0 {
			// It goes on where the old one is.
			next.ID, next.Created = r.Subscriptions[at].ID, r.Subscriptions[at].Created
			r.Subscriptions[at] = next
			return nil, nil
		}
		if len(r.Subscriptions) >= maxSubscriptions {
			return nil, awsapi.Errorf(api.LimitExceededException, "Resource limit exceeded.")
		}
		r.Subscriptions = append(r.Subscriptions, next)
		if err := s.logs.Flush(ctx); err != nil { // what is on its way came before the subscription
			return nil, translate(err)
		}
		tail, err := s.logs.Tail(g.scope, g.Name, "")
		if err != nil {
			return nil, translate(err)
		}
		begin, err := position{next.ID, tail.Position()}.change(g.scope, g.Name, next.Name)
		return []store.Change{begin}, err
	})
}

// refuseNotBuilt names what would have an effect on AWS and has none here.
func refuseNotBuilt(in *api.PutSubscriptionFilterRequest) error {
	var what string
	switch {
	case value(in.ApplyOnTransformedLogs):
		what = "ApplyOnTransformedLogs"
	case value(in.FieldSelectionCriteria) != "":
		what = "FieldSelectionCriteria"
	case len(in.EmitSystemFields) > 0:
		what = "EmitSystemFields"
	default:
		return nil
	}
	return notBuilt(what + " of a subscription filter")
}

func notBuilt(what string) error {
	return &awsapi.Error{Code: "NotImplementedException", Status: http.StatusNotImplemented,
		Message: what + " is not built yet in this version of Hotaru."}
}

// checkDestination wants a function of the group's account and region that could be run now and whose policy allows it, as
// AWS finds out by asking for it. A function that would get its own log is refused: each delivery would make the next.
func (s *Service) checkDestination(ctx context.Context, g *group, in *api.PutSubscriptionFilterRequest) error {
	parts := strings.SplitN(*in.DestinationArn, ":", 7)
	if len(parts) < 6 || parts[0] != "arn" {
		return awsapi.Errorf(api.InvalidParameterException, "Invalid destinationArn: %s", *in.DestinationArn)
	}
	switch vendor := parts[2]; vendor {
	case "lambda":
	case "kinesis", "firehose", "logs":
		return notBuilt("A subscription filter with a destination of " + vendor)
	default:
		return awsapi.Errorf(api.InvalidParameterException, "PutSubscriptionFilter operation cannot work with destinationArn for vendor %s", vendor)
	}
	if in.RoleArn != nil {
		return awsapi.Errorf(api.InvalidParameterException, "destinationArn for vendor lambda cannot be used with roleArn")
	}
	unable := awsapi.Errorf(api.InvalidParameterException,
		"Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function.")
	ours := parts[1] == g.scope.Partition && parts[3] == g.scope.Region && parts[4] == g.scope.Account
	if !ours || s.deliveries.functions == nil {
		return unable
	}
	own, err := s.deliveries.functions.LogGroup(ctx, *in.DestinationArn)
	switch {
	case err != nil:
		return unable
	case own == g.Name:
		return awsapi.Errorf(api.InvalidParameterException,
			"The function logs to this log group itself: every delivery would cause the next one, without end.")
	case !s.deliveries.functions.Allows(*in.DestinationArn, g.arn()):
		return unable
	}
	return nil
}

func (s *Service) deleteSubscriptionFilter(ctx context.Context, in *api.DeleteSubscriptionFilterRequest) (*api.DeleteSubscriptionFilterOutput, error) {
	g, err := s.group(ctx, *in.LogGroupName)
	if err != nil {
		return nil, err
	}
	defer s.reconcile(g.scope, g.Name)
	return nil, s.changeWith(ctx, g, func(r *record) ([]store.Change, error) {
		left := slices.DeleteFunc(slices.Clone(r.Subscriptions), func(old subscription) bool { return old.Name == *in.FilterName })
		if len(left) == len(r.Subscriptions) {
			return nil, awsapi.Errorf(api.ResourceNotFoundException, "The specified subscription filter does not exist.")
		}
		r.Subscriptions = left
		return []store.Change{{Key: positionKey(g.scope, g.Name, *in.FilterName), Delete: true}}, nil
	})
}

func (s *Service) describeSubscriptionFilters(ctx context.Context, in *api.DescribeSubscriptionFiltersRequest) (*api.DescribeSubscriptionFiltersResponse, error) {
	g, err := s.group(ctx, *in.LogGroupName)
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(slices.Clone(g.record.Subscriptions), func(sub subscription) bool {
		return !strings.HasPrefix(sub.Name, value(in.FilterNamePrefix))
	})
	slices.SortFunc(found, func(a, b subscription) int { return strings.Compare(a.Name, b.Name) })
	found, next, err := paginate(found, func(sub subscription, place string) bool { return sub.Name > place },
		func(sub subscription) string { return sub.Name }, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &api.DescribeSubscriptionFiltersResponse{SubscriptionFilters: []api.SubscriptionFilter{}, NextToken: next}
	for _, sub := range found {
		shown := api.SubscriptionFilter{
			FilterName: &sub.Name, LogGroupName: &g.Name, FilterPattern: &sub.Pattern, DestinationArn: &sub.Destination,
			Distribution: new(api.DistributionByLogStream), CreationTime: &sub.Created, ApplyOnTransformedLogs: new(false),
		}
		if sub.Distribution != "" {
			shown.Distribution = &sub.Distribution
		}
		out.SubscriptionFilters = append(out.SubscriptionFilters, shown)
	}
	return out, nil
}

// ErrNoFunction says that an ARN names no function, and ErrFunctionFailed that a function's code failed.
var (
	ErrNoFunction     = errors.New("logs: no such function")
	ErrFunctionFailed = errors.New("logs: the function failed")
)

// Functions are where subscription filters deliver to.
type Functions interface {
	// LogGroup is where the function that the ARN names logs to. It answers ErrNoFunction, or another error for a
	// function that cannot be run now. It must not do any input or output.
	LogGroup(ctx context.Context, arn string) (group string, err error)
	// Allows says whether the function's own policy lets CloudWatch Logs run it for the log group of an ARN.
	Allows(arn, groupARN string) bool
	// Deliver runs the function with an event and waits for its end. It answers ErrNoFunction, ErrFunctionFailed, or
	// another error for what another time may go well.
	Deliver(ctx context.Context, arn string, event []byte) error
}
