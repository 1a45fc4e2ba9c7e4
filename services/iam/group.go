package iam

import (
	"context"
	"slices"
	"strings"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
	"hotaru/store"
)

const (
	kindGroup      = "iam-group"
	maxGroupInline = 5120
	// maxGroups is IAM's quota of groups per user.
	maxGroups = 10
)

// groupRecord is what the store holds of a group. Who is in it stands with the users; joining writes the group again
// with its revision expected, so that joining and deleting it cannot both succeed.
type groupRecord struct{ identity }

func commonGroup(g *groupRecord) *identity { return &g.identity }

func (s *Service) showGroup(scope awsapi.Scope, g *groupRecord) *api.Group {
	return &api.Group{Path: &g.Path, GroupName: &g.Name, GroupId: &g.ID, Arn: new(s.groups.arn(scope, &g.identity)), CreateDate: &g.Created}
}

func (s *Service) createGroup(ctx context.Context, in *api.CreateGroupRequest) (*api.CreateGroupResponse, error) {
	g := &groupRecord{newIdentity("AGPA", *in.GroupName, in.Path)}
	if err := s.groups.create(ctx, g); err != nil {
		return nil, err
	}
	return &api.CreateGroupResponse{Group: s.showGroup(scopeOf(ctx), g)}, nil
}

// getGroup answers the group, and its members in pages.
func (s *Service) getGroup(ctx context.Context, in *api.GetGroupRequest) (*api.GetGroupResponse, error) {
	scope := scopeOf(ctx)
	g, err := s.groups.get(scope, *in.GroupName)
	if err != nil {
		return nil, err
	}
	members := slices.DeleteFunc(s.users.below(scope, ""), func(u *userRecord) bool { return !slices.Contains(u.Groups, g.folded()) })
	p, err := paginate(members, s.users.folded, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.GetGroupResponse{Group: s.showGroup(scope, g), Users: s.showUsers(scope, p.items), IsTruncated: p.truncated, Marker: p.marker}, nil
}

func (s *Service) listGroups(ctx context.Context, in *api.ListGroupsRequest) (*api.ListGroupsResponse, error) {
	scope := scopeOf(ctx)
	p, err := paginate(s.groups.below(scope, value(in.PathPrefix)), s.groups.folded, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListGroupsResponse{Groups: s.showGroups(scope, p.items), IsTruncated: p.truncated, Marker: p.marker}, nil
}

func (s *Service) showGroups(scope awsapi.Scope, groups []*groupRecord) []api.Group {
	shown := []api.Group{}
	for _, g := range groups {
		shown = append(shown, *s.showGroup(scope, g))
	}
	return shown
}

func (s *Service) listGroupsForUser(ctx context.Context, in *api.ListGroupsForUserRequest) (*api.ListGroupsForUserResponse, error) {
	scope := scopeOf(ctx)
	u, err := s.users.get(scope, *in.UserName)
	if err != nil {
		return nil, err
	}
	groups := slices.DeleteFunc(s.groups.below(scope, ""), func(g *groupRecord) bool { return !slices.Contains(u.Groups, g.folded()) })
	p, err := paginate(groups, s.groups.folded, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListGroupsForUserResponse{Groups: s.showGroups(scope, p.items), IsTruncated: p.truncated, Marker: p.marker}, nil
}

// updateGroup renames or moves a group; its members follow in the same commit.
func (s *Service) updateGroup(ctx context.Context, in *api.UpdateGroupRequest) (*api.UpdateGroupOutput, error) {
	scope := scopeOf(ctx)
	return nil, retry(ctx, func() error {
		g, revision, err := s.groups.load(ctx, scope, *in.GroupName)
		if err != nil {
			return err
		}
		if in.NewPath != nil {
			g.Path = *in.NewPath
		}
		old, oldName := key(scope, kindGroup, g.Name), g.folded()
		if in.NewGroupName != nil {
			g.Name = *in.NewGroupName
		}
		if g.folded() == oldName {
			update, err := put(old, g, store.At(revision))
			if err != nil {
				return err
			}
			return s.commit(ctx, update)
		}
		if _, _, found, err := load[groupRecord](ctx, s, key(scope, kindGroup, g.Name)); err != nil || found {
			if found {
				err = s.groups.exists(g.Name)
			}
			return err
		}
		create, err := put(key(scope, kindGroup, g.Name), g, store.Absent())
		if err != nil {
			return err
		}
		moves, err := s.moveMembers(ctx, scope, oldName, g.folded())
		if err != nil {
			return err
		}
		return s.commit(ctx, append(moves, create, store.Change{Key: old, Delete: true, Expect: store.At(revision)})...)
	})
}

// moveMembers are the changes that rename a group in its members' records.
func (s *Service) moveMembers(ctx context.Context, scope awsapi.Scope, from, to string) ([]store.Change, error) {
	var changes []store.Change
	for record, err := range s.state.List(ctx, prefix(scope, kindUser), "") {
		if err != nil {
			return nil, err
		}
		u, err := decode[userRecord](record)
		if err != nil {
			return nil, err
		}
		at := slices.Index(u.Groups, from)
		if at < 0 {
			continue
		}
		u.Groups[at] = to
		change, err := put(record.Key, u, store.At(record.Revision))
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, nil
}

func (s *Service) deleteGroup(ctx context.Context, in *api.DeleteGroupRequest) (*api.DeleteGroupOutput, error) {
	scope := scopeOf(ctx)
	return nil, retry(ctx, func() error {
		g, revision, err := s.groups.load(ctx, scope, *in.GroupName)
		if err != nil {
			return err
		}
		// Not from the view: whoever joined before this revision of the group must be among them.
		users, err := list[userRecord](ctx, s, prefix(scope, kindUser))
		if err != nil {
			return err
		}
		if slices.ContainsFunc(users, func(u *userRecord) bool { return slices.Contains(u.Groups, g.folded()) }) {
			return awsapi.Errorf("DeleteConflict", "Cannot delete entity, must remove users from group first.")
		}
		if err := g.deletable(); err != nil {
			return err
		}
		return s.commit(ctx, store.Change{Key: key(scope, kindGroup, g.Name), Delete: true, Expect: store.At(revision)})
	})
}

// addUserToGroup is idempotent.
func (s *Service) addUserToGroup(ctx context.Context, in *api.AddUserToGroupRequest) (*api.AddUserToGroupOutput, error) {
	scope, name := scopeOf(ctx), strings.ToLower(*in.GroupName)
	return nil, retry(ctx, func() error {
		g, groupRevision, err := s.groups.load(ctx, scope, *in.GroupName)
		if err != nil {
			return err
		}
		u, revision, err := s.users.load(ctx, scope, *in.UserName)
		switch {
		case err != nil:
			return err
		case slices.Contains(u.Groups, name):
			return nil
		case len(u.Groups) >= maxGroups:
			return awsapi.Errorf("LimitExceeded", "Cannot exceed quota for GroupsPerUser: %d", maxGroups)
		}
		u.Groups = append(u.Groups, name)
		join, err := put(key(scope, kindUser, u.Name), u, store.At(revision))
		if err != nil {
			return err
		}
		touch, err := put(key(scope, kindGroup, name), g, store.At(groupRevision))
		if err != nil {
			return err
		}
		return s.commit(ctx, join, touch)
	})
}

// removeUserFromGroup is idempotent.
func (s *Service) removeUserFromGroup(ctx context.Context, in *api.RemoveUserFromGroupRequest) (*api.RemoveUserFromGroupOutput, error) {
	name := strings.ToLower(*in.GroupName)
	if _, err := s.groups.get(scopeOf(ctx), name); err != nil {
		return nil, s.groups.missing(*in.GroupName)
	}
	_, err := s.users.change(ctx, *in.UserName, func(u *userRecord) error {
		u.Groups = slices.DeleteFunc(u.Groups, func(g string) bool { return g == name })
		return nil
	})
	return nil, err
}
