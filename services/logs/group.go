package logs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hotaru/awsapi"
	api "hotaru/awsapi/logs"
	"hotaru/store"
)

func (s *Service) createLogGroup(ctx context.Context, in *api.CreateLogGroupRequest) (*api.CreateLogGroupOutput, error) {
	if in.KmsKeyId != nil {
		// There are no keys here that events could be encrypted with.
		return nil, awsapi.Errorf(api.InvalidParameterException, "The specified KMS Key Id could not be found.")
	}
	scope, name := awsapi.CallFrom(ctx).Scope, *in.LogGroupName
	s.changing.Lock()
	defer s.changing.Unlock()
	made, err := s.logs.CreateGroup(ctx, scope, name)
	if err != nil {
		return nil, translate(err)
	}
	if !made {
		return nil, awsapi.Errorf(api.ResourceAlreadyExistsException, "The specified log group already exists")
	}
	if len(in.Tags) == 0 && in.LogGroupClass == nil && in.DeletionProtectionEnabled == nil {
		return nil, nil
	}
	if err := s.describeNew(ctx, scope, in); err != nil {
		return nil, errors.Join(err, s.logs.DeleteGroup(context.WithoutCancel(ctx), scope, name))
	}
	return nil, nil
}

// describeNew keeps what the caller says of a group that was made a moment ago.
func (s *Service) describeNew(ctx context.Context, scope awsapi.Scope, in *api.CreateLogGroupRequest) error {
	info, err := s.logs.Group(scope, *in.LogGroupName)
	if err != nil {
		return err
	}
	return s.changeLocked(ctx, &group{GroupInfo: info, scope: scope, record: &record{}}, func(r *record) ([]store.Change, error) {
		r.Tags, r.Class, r.Protected = in.Tags, value(in.LogGroupClass), value(in.DeletionProtectionEnabled)
		return nil, nil
	})
}

// deleteLogGroup deletes the events first: the record of a group that is gone says nothing.
func (s *Service) deleteLogGroup(ctx context.Context, in *api.DeleteLogGroupRequest) (*api.DeleteLogGroupOutput, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	g, err := s.group(ctx, *in.LogGroupName)
	if err != nil {
		return nil, err
	}
	if g.record.Protected {
		return nil, awsapi.Errorf(api.ValidationException, "Deletion protection is enabled for the log group: disable it first.")
	}
	if err := s.logs.DeleteGroup(ctx, g.scope, g.Name); err != nil {
		return nil, translate(err)
	}
	defer s.reconcile(g.scope, g.Name)
	if _, ok := s.records.Get(key(g.scope, g.Name)); !ok {
		return nil, nil
	}
	changes := []store.Change{{Key: key(g.scope, g.Name), Delete: true}}
	for _, sub := range g.record.Subscriptions {
		changes = append(changes, store.Change{Key: positionKey(g.scope, g.Name, sub.Name), Delete: true})
	}
	return nil, s.commit(ctx, changes...)
}

func (s *Service) putLogGroupDeletionProtection(ctx context.Context, in *api.PutLogGroupDeletionProtectionRequest) (*api.PutLogGroupDeletionProtectionOutput, error) {
	g, err := s.identified(ctx, nil, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	return nil, s.change(ctx, g, func(r *record) error {
		r.Protected = *in.DeletionProtectionEnabled
		return nil
	})
}

func (s *Service) describeLogGroups(ctx context.Context, in *api.DescribeLogGroupsRequest) (*api.DescribeLogGroupsResponse, error) {
	if in.LogGroupNamePrefix != nil && in.LogGroupNamePattern != nil {
		return nil, awsapi.Errorf(api.InvalidParameterException, "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	if in.LogGroupIdentifiers != nil && (in.LogGroupNamePrefix != nil || in.LogGroupNamePattern != nil || in.LogGroupClass != nil) {
		return nil, awsapi.Errorf(api.InvalidParameterException, "LogGroup identifiers and other filters are mutually exclusive parameters.")
	}
	scope := awsapi.CallFrom(ctx).Scope
	var groups []*group
	for _, info := range s.logs.Groups(scope) {
		if g := s.withRecord(scope, info); wanted(g, in) {
			groups = append(groups, g)
		}
	}
	groups, next, err := paginate(groups, func(g *group, place string) bool { return g.Name > place },
		func(g *group) string { return g.Name }, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &api.DescribeLogGroupsResponse{LogGroups: []api.LogGroup{}, NextToken: next}
	for _, g := range groups {
		out.LogGroups = append(out.LogGroups, g.show())
	}
	return out, nil
}

func wanted(g *group, in *api.DescribeLogGroupsRequest) bool {
	listed := in.LogGroupIdentifiers == nil || slices.ContainsFunc(in.LogGroupIdentifiers, func(id string) bool {
		return id == g.Name || id == g.arn()
	})
	return listed && strings.HasPrefix(g.Name, value(in.LogGroupNamePrefix)) && strings.Contains(g.Name, value(in.LogGroupNamePattern)) &&
		(in.LogGroupClass == nil || *in.LogGroupClass == g.class())
}

func (g *group) class() string {
	if g.record.Class == "" {
		return api.LogGroupClassStandard
	}
	return g.record.Class
}

func (g *group) show() api.LogGroup {
	shown := api.LogGroup{
		LogGroupName: &g.Name, CreationTime: new(g.Created.UnixMilli()), MetricFilterCount: new(int32(0)), StoredBytes: &g.StoredBytes,
		Arn: new(g.arn() + ":*"), LogGroupArn: new(g.arn()), LogGroupClass: new(g.class()), DeletionProtectionEnabled: &g.record.Protected,
	}
	if g.record.RetentionDays > 0 {
		shown.RetentionInDays = &g.record.RetentionDays
	}
	return shown
}

// streamARN is a stream's.
func (g *group) streamARN(name string) string { return fmt.Sprintf("%s:log-stream:%s", g.arn(), name) }
