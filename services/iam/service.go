package iam

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
	"hotaru/policy"
	"hotaru/store"
)

// Sealer seals secrets at rest; *seal.Sealer is one. A value opens only in the place it was sealed for.
type Sealer interface {
	Seal(place string, plain []byte) []byte
	Unseal(place string, sealed []byte) ([]byte, error)
}

// Service answers IAM's operations. Reads are answered from memory; a change reads the store, and returns when the
// views show it.
type Service struct {
	state    store.State
	sealer   Sealer
	roles    *collection[roleRecord]
	users    *collection[userRecord]
	groups   *collection[groupRecord]
	policies *store.View[*policyRecord]
	keys     *store.View[*keyRecord]
	uses     *keyUses
	// managed are the documents of AWS's own policies, by path and name.
	managed map[string]*policy.Document
	// views follow the store, by the kind of their records.
	views map[string]view
}

// view is a store.View of any type.
type view interface {
	Start(ctx context.Context) error
	Close()
	Wait(ctx context.Context, revision store.Revision) error
	Failed() <-chan struct{}
}

func (s *Service) follow(kind string, v view) { s.views[kind] = v }

// Open reads everything and follows its changes until Close. The state must outlive it.
func Open(ctx context.Context, state store.State, sealer Sealer) (*Service, error) {
	s := &Service{state: state, sealer: sealer, views: map[string]view{}, managed: managedDocuments()}
	s.roles = newCollection(s, kindRole, "role", maxRoleInline, commonRole, func(r *roleRecord) { r.trust = compiled(r.Trust) })
	s.users = newCollection(s, kindUser, "user", maxUserInline, commonUser, func(*userRecord) {})
	s.groups = newCollection(s, kindGroup, "group", maxGroupInline, commonGroup, func(*groupRecord) {})
	s.policies = store.NewView(state, store.NewPrefix(kindPolicy), func(r store.Record) (*policyRecord, error) {
		p, err := decode[policyRecord](r)
		if err == nil {
			p.document = compiled(p.defaultDocument())
		}
		return p, err
	})
	s.keys = store.NewView(state, store.NewPrefix(kindKey), decode[keyRecord])
	s.follow(kindPolicy, s.policies)
	s.follow(kindKey, s.keys)
	s.uses = newKeyUses(s)
	for kind, v := range s.views {
		if err := v.Start(ctx); err != nil {
			s.closeViews()
			return nil, fmt.Errorf("iam: reading %s: %w", kind, err)
		}
	}
	s.uses.start()
	return s, nil
}

// Close stops following the store, after what is known of the use of access keys was written.
func (s *Service) Close() {
	s.uses.close()
	s.closeViews()
}

func (s *Service) closeViews() {
	for _, v := range s.views {
		v.Close()
	}
}

// Failed are closed when the store can no longer be followed, by Close too. What is read after that is old.
func (s *Service) Failed() []<-chan struct{} {
	var failed []<-chan struct{}
	for _, v := range s.views {
		failed = append(failed, v.Failed())
	}
	return failed
}

// Handlers are the operations that are built.
func (s *Service) Handlers() api.Handlers {
	return api.Handlers{
		CreateRole: s.createRole, GetRole: s.getRole, ListRoles: s.listRoles, DeleteRole: s.deleteRole,
		UpdateRole: s.updateRole, UpdateRoleDescription: s.updateRoleDescription,
		UpdateAssumeRolePolicy:        s.updateAssumeRolePolicy,
		PutRolePermissionsBoundary:    s.putRolePermissionsBoundary,
		DeleteRolePermissionsBoundary: s.deleteRolePermissionsBoundary,
		ListInstanceProfilesForRole:   s.listInstanceProfilesForRole,

		PutRolePolicy: s.putRolePolicy, GetRolePolicy: s.getRolePolicy,
		ListRolePolicies: s.listRolePolicies, DeleteRolePolicy: s.deleteRolePolicy,

		AttachRolePolicy: s.attachRolePolicy, DetachRolePolicy: s.detachRolePolicy,
		ListAttachedRolePolicies: s.listAttachedRolePolicies, ListEntitiesForPolicy: s.listEntitiesForPolicy,

		CreatePolicy: s.createPolicy, GetPolicy: s.getPolicy, ListPolicies: s.listPolicies, DeletePolicy: s.deletePolicy,
		CreatePolicyVersion: s.createPolicyVersion, GetPolicyVersion: s.getPolicyVersion,
		ListPolicyVersions: s.listPolicyVersions, SetDefaultPolicyVersion: s.setDefaultPolicyVersion,
		DeletePolicyVersion: s.deletePolicyVersion,

		CreateUser: s.createUser, GetUser: s.getUser, ListUsers: s.listUsers, UpdateUser: s.updateUser, DeleteUser: s.deleteUser,
		PutUserPermissionsBoundary:    s.putUserPermissionsBoundary,
		DeleteUserPermissionsBoundary: s.deleteUserPermissionsBoundary,
		PutUserPolicy:                 s.putUserPolicy, GetUserPolicy: s.getUserPolicy,
		ListUserPolicies: s.listUserPolicies, DeleteUserPolicy: s.deleteUserPolicy,
		AttachUserPolicy: s.attachUserPolicy, DetachUserPolicy: s.detachUserPolicy,
		ListAttachedUserPolicies: s.listAttachedUserPolicies,
		TagUser:                  s.tagUser, UntagUser: s.untagUser, ListUserTags: s.listUserTags,

		CreateAccessKey: s.createAccessKey, ListAccessKeys: s.listAccessKeys, UpdateAccessKey: s.updateAccessKey,
		DeleteAccessKey: s.deleteAccessKey, GetAccessKeyLastUsed: s.getAccessKeyLastUsed,

		CreateGroup: s.createGroup, GetGroup: s.getGroup, ListGroups: s.listGroups, UpdateGroup: s.updateGroup,
		DeleteGroup: s.deleteGroup, AddUserToGroup: s.addUserToGroup, RemoveUserFromGroup: s.removeUserFromGroup,
		ListGroupsForUser: s.listGroupsForUser,
		PutGroupPolicy:    s.putGroupPolicy, GetGroupPolicy: s.getGroupPolicy,
		ListGroupPolicies: s.listGroupPolicies, DeleteGroupPolicy: s.deleteGroupPolicy,
		AttachGroupPolicy: s.attachGroupPolicy, DetachGroupPolicy: s.detachGroupPolicy,
		ListAttachedGroupPolicies: s.listAttachedGroupPolicies,

		TagRole: s.tagRole, UntagRole: s.untagRole, ListRoleTags: s.listRoleTags,
		TagPolicy: s.tagPolicy, UntagPolicy: s.untagPolicy, ListPolicyTags: s.listPolicyTags,
	}
}

// maxAttempts bounds how often a change starts again because somebody else's came first.
const maxAttempts = 30

// retry runs a read-change-commit until its expectations hold. What it runs must start from a fresh read.
func retry(ctx context.Context, change func() error) error {
	for range maxAttempts {
		var conflict *store.ConflictError
		err := change()
		if err == nil || !errors.As(err, &conflict) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return awsapi.Errorf("ConcurrentModification",
		"The request was rejected because multiple requests to change this object were submitted simultaneously. "+
			"Wait a few minutes and submit your request again.")
}

// scopeOf is the caller's account, with IAM's own region.
func scopeOf(ctx context.Context) awsapi.Scope { return global(awsapi.CallFrom(ctx).Scope) }

func global(scope awsapi.Scope) awsapi.Scope {
	scope.Region = "global"
	return scope
}

func key(scope awsapi.Scope, kind, name string) store.Key {
	return store.NewKey(kind, scope.Partition, scope.Account, scope.Region, strings.ToLower(name))
}

func prefix(scope awsapi.Scope, kind string) store.Key {
	return store.NewPrefix(kind, scope.Partition, scope.Account, scope.Region)
}

// load reads one record from the store, for a change; found is false if it is not there.
func load[T any](ctx context.Context, s *Service, k store.Key) (value *T, revision store.Revision, found bool, err error) {
	record, err := s.state.Get(ctx, k)
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, false, nil
	}
	if err != nil {
		return nil, 0, false, fmt.Errorf("iam: reading %s: %w", k, err)
	}
	value, err = decode[T](record)
	return value, record.Revision, err == nil, err
}

// list reads all records under a prefix from the store, for a decision that must not be late.
func list[T any](ctx context.Context, s *Service, p store.Key) ([]*T, error) {
	var values []*T
	for record, err := range s.state.List(ctx, p, "") {
		if err != nil {
			return nil, fmt.Errorf("iam: listing %s: %w", p, err)
		}
		value, err := decode[T](record)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

func decode[T any](record store.Record) (*T, error) {
	value := new(T)
	if err := json.Unmarshal(record.Value, value); err != nil {
		return nil, fmt.Errorf("iam: the record at %s: %w", record.Key, err)
	}
	return value, nil
}

// seen are a view's records under a prefix. They are shared: nobody may change them.
func seen[T any](view *store.View[*T], p store.Key) []*T {
	var values []*T
	for item := range view.List(p, "") {
		values = append(values, item.Value)
	}
	return values
}

// put makes the change that stores a value.
func put(k store.Key, value any, expect store.Expectation) (store.Change, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return store.Change{}, fmt.Errorf("iam: encoding %s: %w", k, err)
	}
	return store.Change{Key: k, Value: encoded, Expect: expect}, nil
}

// commit stores changes and waits until the views show them.
func (s *Service) commit(ctx context.Context, changes ...store.Change) error {
	revision, err := s.state.Commit(ctx, changes...)
	if err != nil {
		return fmt.Errorf("iam: storing: %w", err)
	}
	for _, change := range changes {
		kind, _, _ := strings.Cut(string(change.Key), "/")
		if err := s.views[kind].Wait(ctx, revision); err != nil {
			return fmt.Errorf("iam: waiting for a change: %w", err)
		}
	}
	return nil
}

// newID makes an identifier of 21 characters as IAM's are: four that say what it is, then base 32.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
func newID(kind string) string { return kind + rand.Text()[:17] }

// instant is now as IAM keeps time, in whole seconds.
func instant() time.Time { return time.Now().UTC().Truncate(time.Second) }

// escaped is how IAM shows policy documents: percent-encoded as in RFC 3986.
func escaped(document string) *string {
	return new(strings.ReplaceAll(url.QueryEscape(document), "+", "%20"))
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// optional is nil for an empty string, so that the answer has no such element.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func pathOr(path *string) string {
	if value(path) == "" {
		return "/"
	}
	return *path
}
