package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"hotaru/awsapi"
	api "hotaru/awsapi/logs"
	"hotaru/services/logs/logstore"
	"hotaru/store"
)

// kindGroup is the first part of a record's key.
const kindGroup = "loggroup"

// record is what is said of one group. It is read-only once it is in the view.
type record struct {
	// Created is the group's creation in Unix milliseconds: a record of an earlier group of the name says nothing.
	Created       int64             `json:"created"`
	Class         string            `json:"class,omitempty"`
	RetentionDays int32             `json:"retentionDays,omitempty"`
	Protected     bool              `json:"protected,omitempty"`
	Tags          map[string]string `json:"tags,omitempty"`
	// Subscriptions are in no order.
	Subscriptions []subscription `json:"subscriptions,omitempty"`
}

func decode(r store.Record) (*record, error) {
	value := new(record)
	if err := json.Unmarshal(r.Value, value); err != nil {
		return nil, fmt.Errorf("logs: the record at %s: %w", r.Key, err)
	}
	return value, nil
}

func key(scope awsapi.Scope, name string) store.Key {
	return store.NewKey(kindGroup, scope.Partition, scope.Account, scope.Region, name)
}

// group is a group at one moment.
type group struct {
	logstore.GroupInfo
	scope awsapi.Scope
	// record is never nil.
	record *record
}

func (g *group) arn() string { return groupARN(g.scope) + g.Name }

// groupARN is what stands before a group's name.
func groupARN(scope awsapi.Scope) string {
	return "arn:" + scope.Partition + ":logs:" + scope.Region + ":" + scope.Account + ":log-group:"
}

// withRecord joins what both stores know.
func (s *Service) withRecord(scope awsapi.Scope, info logstore.GroupInfo) *group {
	g := &group{GroupInfo: info, scope: scope, record: &record{}}
	if item, ok := s.records.Get(key(scope, info.Name)); ok && item.Value.Created == info.Created.UnixMilli() {
		g.record = item.Value
	}
	return g
}

// group finds a group of the caller's scope.
func (s *Service) group(ctx context.Context, name string) (*group, error) {
	scope := awsapi.CallFrom(ctx).Scope
	info, err := s.logs.Group(scope, name)
	if err != nil {
		return nil, translate(err)
	}
	return s.withRecord(scope, info), nil
}

// identified finds a group by exactly one of its name and its identifier, which is a name or an ARN.
func (s *Service) identified(ctx context.Context, name, identifier *string) (*group, error) {
	switch {
	case name != nil && identifier != nil:
		return nil, awsapi.Errorf(api.InvalidParameterException, "LogGroup name and LogGroup identifier are mutually exclusive parameters.")
	case name != nil:
		return s.group(ctx, *name)
	case identifier == nil:
		return nil, awsapi.Errorf(api.InvalidParameterException, "Either LogGroup name or LogGroup identifier must be specified.")
	case !strings.HasPrefix(*identifier, "arn:"):
		return s.group(ctx, *identifier)
	default:
		return s.byARN(ctx, *identifier)
	}
}

// byARN finds a group by its ARN, without the ":*" that stands for its streams.
func (s *Service) byARN(ctx context.Context, arn string) (*group, error) {
	name, ours := strings.CutPrefix(arn, groupARN(awsapi.CallFrom(ctx).Scope))
	if !ours {
		return nil, noGroup()
	}
	return s.group(ctx, name)
}

// change alters what is said of a group and returns when readers see it. What it changes is the change's own.
func (s *Service) change(ctx context.Context, g *group, change func(*record) error) error {
	return s.changeWith(ctx, g, func(r *record) ([]store.Change, error) { return nil, change(r) })
}

// changeWith is change for what is more than the record: what else it changes is committed with it.
func (s *Service) changeWith(ctx context.Context, g *group, change func(*record) ([]store.Change, error)) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	info, err := s.logs.Group(g.scope, g.Name)
	if err != nil {
		return translate(err)
	}
	return s.changeLocked(ctx, s.withRecord(g.scope, info), change)
}

func (s *Service) changeLocked(ctx context.Context, g *group, change func(*record) ([]store.Change, error)) error {
	next := *g.record
	next.Created, next.Tags = g.Created.UnixMilli(), maps.Clone(next.Tags)
	also, err := change(&next)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("logs: encoding a record: %w", err)
	}
	return s.commit(ctx, append(also, store.Change{Key: key(g.scope, g.Name), Value: encoded})...)
}

// commit stores changes, of which one is a record's, and waits until the view shows it.
func (s *Service) commit(ctx context.Context, changes ...store.Change) error {
	revision, err := s.state.Commit(ctx, changes...)
	if err == nil {
		err = s.records.Wait(ctx, revision)
	}
	if err != nil {
		return fmt.Errorf("logs: storing: %w", err)
	}
	return nil
}

// translate gives the stores' errors AWS's words.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, logstore.ErrNoStream):
		return awsapi.Errorf(api.ResourceNotFoundException, "The specified log stream does not exist.")
	case errors.Is(err, store.ErrNotFound):
		return noGroup()
	case errors.Is(err, store.ErrClosed), errors.Is(err, context.DeadlineExceeded):
		return awsapi.Errorf(api.ServiceUnavailableException, "The service cannot complete the request.")
	default:
		return err
	}
}

func noGroup() error {
	return awsapi.Errorf(api.ResourceNotFoundException, "The specified log group does not exist.")
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
