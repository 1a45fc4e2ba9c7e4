package iam

import (
	"context"
	"slices"
	"strings"

	api "hotaru/awsapi/iam"
)

// user is one identity that uses a policy.
type user struct {
	kind string
	*identity
}

// listEntitiesForPolicy answers one list of groups, users and roles, cut into pages as a whole.
func (s *Service) listEntitiesForPolicy(ctx context.Context, in *api.ListEntitiesForPolicyRequest) (*api.ListEntitiesForPolicyResponse, error) {
	scope := scopeOf(ctx)
	if _, err := s.policy(scope, *in.PolicyArn); err != nil {
		return nil, err
	}
	path := value(in.PathPrefix)
	var users []user
	for _, g := range s.groups.below(scope, path) {
		users = append(users, user{"Group", &g.identity})
	}
	for _, r := range s.roles.below(scope, path) {
		users = append(users, user{"Role", &r.identity})
	}
	for _, u := range s.users.below(scope, path) {
		users = append(users, user{"User", &u.identity})
	}
	users = slices.DeleteFunc(users, func(u user) bool { return !u.uses(in) })
	name := func(u user) string { return u.kind + "/" + u.folded() }
	slices.SortFunc(users, func(a, b user) int { return strings.Compare(name(a), name(b)) })
	p, err := paginate(users, name, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListEntitiesForPolicyResponse{
		PolicyGroups: []api.PolicyGroup{}, PolicyUsers: []api.PolicyUser{}, PolicyRoles: []api.PolicyRole{},
		IsTruncated: p.truncated, Marker: p.marker,
	}
	for _, u := range p.items {
		switch u.kind {
		case "Group":
			out.PolicyGroups = append(out.PolicyGroups, api.PolicyGroup{GroupName: &u.Name, GroupId: &u.ID})
		case "Role":
			out.PolicyRoles = append(out.PolicyRoles, api.PolicyRole{RoleName: &u.Name, RoleId: &u.ID})
		default:
			out.PolicyUsers = append(out.PolicyUsers, api.PolicyUser{UserName: &u.Name, UserId: &u.ID})
		}
	}
	return out, nil
}

func (u user) uses(in *api.ListEntitiesForPolicyRequest) bool {
	attached := slices.Contains(u.Attached, *in.PolicyArn)
	boundary := u.Boundary == *in.PolicyArn
	switch value(in.PolicyUsageFilter) {
	case "PermissionsPolicy":
		boundary = false
	case "PermissionsBoundary":
		attached = false
	}
	kind := value(in.EntityFilter)
	return (kind == "" || kind == u.kind) && (attached || boundary)
}
