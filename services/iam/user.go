package iam

import (
	"context"
	"strings"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
	"hotaru/store"
)

const (
	kindUser      = "iam-user"
	maxUserInline = 2048
)

// userRecord is what the store holds of a user.
type userRecord struct {
	identity
	Keys []accessKey `json:"keys,omitempty"`
	// Groups are names of groups, in lower case.
	Groups []string `json:"groups,omitempty"`
}

func commonUser(u *userRecord) *identity { return &u.identity }

// callersName is the user that a request without a user's name means: the caller.
func callersName(ctx context.Context, given *string) (string, error) {
	if given != nil {
		return *given, nil
	}
	if _, resource, found := strings.Cut(awsapi.CallFrom(ctx).Caller.ARN, ":user/"); found {
		return nameOfARN(resource), nil
	}
	return "", awsapi.Errorf("ValidationError", "Must specify userName when calling with non-User credentials")
}

func (s *Service) createUser(ctx context.Context, in *api.CreateUserRequest) (*api.CreateUserResponse, error) {
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	u := &userRecord{identity: newIdentity("AIDA", *in.UserName, in.Path)}
	u.Boundary, u.Tags = value(in.PermissionsBoundary), tags
	if err := s.users.create(ctx, u); err != nil {
		return nil, err
	}
	return &api.CreateUserResponse{User: s.showUser(scopeOf(ctx), u)}, nil
}

// showUser is the user as GetUser answers it.
func (s *Service) showUser(scope awsapi.Scope, u *userRecord) *api.User {
	return &api.User{
		Path: &u.Path, UserName: &u.Name, UserId: &u.ID, Arn: new(s.users.arn(scope, &u.identity)), CreateDate: &u.Created,
		PermissionsBoundary: showBoundary(&u.identity), Tags: showTags(u.Tags),
	}
}

// getUser answers the caller where no name is given; a root user has no record, but an ARN.
func (s *Service) getUser(ctx context.Context, in *api.GetUserRequest) (*api.GetUserResponse, error) {
	scope, caller := scopeOf(ctx), awsapi.CallFrom(ctx).Caller
	if in.UserName == nil && strings.HasSuffix(caller.ARN, ":root") {
		return &api.GetUserResponse{User: &api.User{Path: new("/"), UserId: &caller.UserID, Arn: &caller.ARN}}, nil
	}
	name, err := callersName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := s.users.get(scope, name)
	if err != nil {
		return nil, err
	}
	return &api.GetUserResponse{User: s.showUser(scope, u)}, nil
}

// listUsers answers the subset of a user's attributes that IAM's lists have.
func (s *Service) listUsers(ctx context.Context, in *api.ListUsersRequest) (*api.ListUsersResponse, error) {
	scope := scopeOf(ctx)
	p, err := paginate(s.users.below(scope, value(in.PathPrefix)), s.users.folded, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListUsersResponse{Users: s.showUsers(scope, p.items), IsTruncated: p.truncated, Marker: p.marker}, nil
}

func (s *Service) showUsers(scope awsapi.Scope, users []*userRecord) []api.User {
	shown := []api.User{}
	for _, u := range users {
		one := s.showUser(scope, u)
		one.Tags, one.PermissionsBoundary = nil, nil
		shown = append(shown, *one)
	}
	return shown
}

// updateUser renames or moves a user. Access keys follow, with the same secrets.
func (s *Service) updateUser(ctx context.Context, in *api.UpdateUserRequest) (*api.UpdateUserOutput, error) {
	scope := scopeOf(ctx)
	return nil, retry(ctx, func() error {
		u, revision, err := s.users.load(ctx, scope, *in.UserName)
		if err != nil {
			return err
		}
		if in.NewPath != nil {
			u.Path = *in.NewPath
		}
		old := key(scope, kindUser, u.Name)
		if in.NewUserName != nil {
			u.Name = *in.NewUserName
		}
		if key(scope, kindUser, u.Name) == old {
			update, err := put(old, u, store.At(revision))
			if err != nil {
				return err
			}
			return s.commit(ctx, update)
		}
		if _, _, found, err := load[userRecord](ctx, s, key(scope, kindUser, u.Name)); err != nil || found {
			if found {
				err = s.users.exists(u.Name)
			}
			return err
		}
		create, err := put(key(scope, kindUser, u.Name), u, store.Absent())
		if err != nil {
			return err
		}
		changes := []store.Change{{Key: old, Delete: true, Expect: store.At(revision)}, create}
		for _, k := range u.Keys {
			move, err := put(key(scope, kindKey, k.ID), keyRecord{User: u.Name}, store.Expectation{})
			if err != nil {
				return err
			}
			changes = append(changes, move)
		}
		return s.commit(ctx, changes...)
	})
}

func (s *Service) deleteUser(ctx context.Context, in *api.DeleteUserRequest) (*api.DeleteUserOutput, error) {
	scope := scopeOf(ctx)
	return nil, retry(ctx, func() error {
		u, revision, err := s.users.load(ctx, scope, *in.UserName)
		if err != nil {
			return err
		}
		if err := u.deletable(); err != nil {
			return err
		}
		switch {
		case len(u.Keys) > 0:
			return awsapi.Errorf("DeleteConflict", "Cannot delete entity, must delete access keys first.")
		case len(u.Groups) > 0:
			return awsapi.Errorf("DeleteConflict", "Cannot delete entity, must remove users from group first.")
		}
		return s.commit(ctx, store.Change{Key: key(scope, kindUser, u.Name), Delete: true, Expect: store.At(revision)})
	})
}

func (s *Service) putUserPermissionsBoundary(ctx context.Context, in *api.PutUserPermissionsBoundaryRequest) (*api.PutUserPermissionsBoundaryOutput, error) {
	return nil, s.users.putBoundary(ctx, *in.UserName, *in.PermissionsBoundary)
}

func (s *Service) deleteUserPermissionsBoundary(ctx context.Context, in *api.DeleteUserPermissionsBoundaryRequest) (*api.DeleteUserPermissionsBoundaryOutput, error) {
	return nil, s.users.deleteBoundary(ctx, *in.UserName)
}
