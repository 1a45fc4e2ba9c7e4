package logs

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"hotaru/awsapi"
	api "hotaru/awsapi/logs"
	"hotaru/store"
)

// trimInterval is how often expired events are looked for.
const trimInterval = time.Hour

// retentions are the days that a retention policy may have
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html).
func retentions() []int32 {
	return []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
}

// horizon is the time from before which nothing is kept, the beginning of time without a retention policy.
func (g *group) horizon(now time.Time) time.Time {
	if g.record.RetentionDays == 0 {
		return time.UnixMilli(0)
	}
	return now.Add(-time.Duration(g.record.RetentionDays) * 24 * time.Hour)
}

func (s *Service) putRetentionPolicy(ctx context.Context, in *api.PutRetentionPolicyRequest) (*api.PutRetentionPolicyOutput, error) {
	if days := *in.RetentionInDays; !slices.Contains(retentions(), days) {
		var all []string
		for _, d := range retentions() {
			all = append(all, strconv.Itoa(int(d)))
		}
		return nil, awsapi.Errorf(api.InvalidParameterException, "1 validation error detected: Value '%d' at 'retentionInDays' "+
			"failed to satisfy constraint: Member must satisfy enum value set: [%s]", days, strings.Join(all, ", "))
	}
	return nil, s.retain(ctx, *in.LogGroupName, *in.RetentionInDays)
}

func (s *Service) deleteRetentionPolicy(ctx context.Context, in *api.DeleteRetentionPolicyRequest) (*api.DeleteRetentionPolicyOutput, error) {
	return nil, s.retain(ctx, *in.LogGroupName, 0)
}

func (s *Service) retain(ctx context.Context, name string, days int32) error {
	g, err := s.group(ctx, name)
	if err != nil {
		return err
	}
	if err := s.change(ctx, g, func(r *record) error {
		r.RetentionDays = days
		return nil
	}); err != nil {
		return err
	}
	select {
	case s.trim <- struct{}{}:
	default: // somebody else's demand will do
	}
	return nil
}

// keepTrimming removes the segments of expired events now and then, and when a policy changes. Reading hides what has
// expired and is still there.
func (s *Service) keepTrimming(ctx context.Context) {
	defer close(s.done)
	ticker := time.NewTicker(trimInterval)
	defer ticker.Stop()
	for {
		s.trimAll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.trim:
		}
	}
}

func (s *Service) trimAll(ctx context.Context) {
	for item := range s.records.List("", "") {
		parts, err := item.Key.Parts()
		if err != nil || len(parts) != 5 {
			continue // nobody else writes here
		}
		scope, name := awsapi.Scope{Partition: parts[1], Account: parts[2], Region: parts[3]}, parts[4]
		info, err := s.logs.Group(scope, name)
		if err != nil {
			continue // gone, or the store is
		}
		g := s.withRecord(scope, info)
		if g.record.RetentionDays == 0 {
			continue
		}
		err = s.logs.Trim(ctx, scope, name, g.horizon(s.now()))
		if err != nil && !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
			s.logger.Error("expired log events cannot be removed", "group", name, "error", err)
		}
	}
}
