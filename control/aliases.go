package control

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"

	"hotaru/awsapi/lambda"
	"hotaru/function"
)

// alias is a name for a version, or for two with the part of the invocations that each gets. Aliases are in the head of
// their function, which makes them follow and hold its versions.
type alias struct {
	Version     string `json:"version"`
	Description string `json:"description"`
	// Weights has the part of the invocations, 0 to 1, that another version gets.
	Weights    map[string]float64 `json:"weights,omitempty"`
	RevisionID string             `json:"revisionId"`
}

// CreateAlias implements https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html.
func (l *Lambda) CreateAlias(ctx context.Context, in *lambda.CreateAliasRequest) (*lambda.AliasConfiguration, error) {
	name := value(in.Name)
	return l.changeAlias(ctx, in.FunctionName, name, func(h *head) (alias, error) {
		if _, there := h.Aliases[name]; there {
			return alias{}, function.Errorf(function.ErrResourceConflict, "Alias already exists: %s", h.ID.QualifiedARN(name))
		}
		return alias{Version: value(in.FunctionVersion), Description: value(in.Description), Weights: weightsOf(in.RoutingConfig)}, nil
	})
}

// UpdateAlias implements https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html.
func (l *Lambda) UpdateAlias(ctx context.Context, in *lambda.UpdateAliasRequest) (*lambda.AliasConfiguration, error) {
	name := value(in.Name)
	return l.changeAlias(ctx, in.FunctionName, name, func(h *head) (alias, error) {
		a, there := h.Aliases[name]
		if !there {
			return alias{}, function.Errorf(function.ErrResourceNotFound, "Alias not found: %s", h.ID.QualifiedARN(name))
		}
		if err := checkRevision(a.RevisionID, in.RevisionId); err != nil {
			return alias{}, err
		}
		set(&a.Version, in.FunctionVersion)
		set(&a.Description, in.Description)
		if in.RoutingConfig != nil {
			a.Weights = weightsOf(in.RoutingConfig)
		}
		return a, nil
	})
}

func weightsOf(r *lambda.AliasRoutingConfiguration) map[string]float64 {
	if r == nil {
		return nil
	}
	return r.AdditionalVersionWeights
}

// changeAlias stores what change makes of a function's alias. The function keeps its revision.
func (l *Lambda) changeAlias(ctx context.Context, functionName *string, name string,
	change func(h *head) (alias, error)) (*lambda.AliasConfiguration, error) {
	id, err := wholeFunction(ctx, functionName)
	if err != nil {
		return nil, err
	}
	var a alias
	_, err = l.Functions.update(ctx, id, func(h *head) (versions []*function.Version, err error) {
		if a, err = change(h); err != nil {
			return nil, err
		}
		if err := l.checkAlias(ctx, h, a); err != nil {
			return nil, err
		}
		a.RevisionID = uuid.NewString()
		aliases := maps.Clone(h.Aliases)
		if aliases == nil {
			aliases = map[string]alias{}
		}
		aliases[name] = a
		h.Aliases, h.keepsRevision = aliases, true
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return describeAlias(id, name, a), nil
}

// checkAlias refuses an alias of versions that are not there, or that cannot be routed to.
func (l *Lambda) checkAlias(ctx context.Context, h *head, a alias) error {
	if len(a.Weights) > 1 {
		return invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	versions := []string{a.Version}
	for other := range a.Weights {
		if other == function.Latest || a.Version == function.Latest {
			return invalid("$LATEST is not supported for an alias pointing to more than 1 version")
		}
		if other == a.Version {
			return invalid("Invalid function version %s. Function version %s is already included in routing configuration.", other, other)
		}
		versions = append(versions, other)
	}
	for _, version := range versions {
		if version == function.Latest {
			continue
		}
		if _, err := l.Functions.published(ctx, h, version); err != nil {
			return err
		}
	}
	return nil
}

// GetAlias implements https://docs.aws.amazon.com/lambda/latest/api/API_GetAlias.html.
func (l *Lambda) GetAlias(ctx context.Context, in *lambda.GetAliasRequest) (*lambda.AliasConfiguration, error) {
	h, err := l.wholeHead(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	a, there := h.Aliases[value(in.Name)]
	if !there {
		return nil, function.Errorf(function.ErrResourceNotFound, "Cannot find alias arn: %s", h.ID.QualifiedARN(value(in.Name)))
	}
	return describeAlias(h.ID, value(in.Name), a), nil
}

// DeleteAlias implements https://docs.aws.amazon.com/lambda/latest/api/API_DeleteAlias.html. One that is not there is
// deleted, too.
func (l *Lambda) DeleteAlias(ctx context.Context, in *lambda.DeleteAliasRequest) (*lambda.DeleteAliasOutput, error) {
	id, err := wholeFunction(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	_, err = l.Functions.update(ctx, id, func(h *head) ([]*function.Version, error) {
		if _, there := h.Aliases[value(in.Name)]; !there {
			return nil, errUnchanged
		}
		h.Aliases, h.keepsRevision = maps.Clone(h.Aliases), true
		delete(h.Aliases, value(in.Name))
		h.dropPolicy(value(in.Name))
		return nil, nil
	})
	return &lambda.DeleteAliasOutput{}, err
}

// ListAliases implements https://docs.aws.amazon.com/lambda/latest/api/API_ListAliases.html.
func (l *Lambda) ListAliases(ctx context.Context, in *lambda.ListAliasesRequest) (*lambda.ListAliasesResponse, error) {
	h, err := l.wholeHead(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	after, err := decodeMarker(value(in.Marker))
	if err != nil {
		return nil, err
	}
	limit := pageSize(in.MaxItems)
	out := &lambda.ListAliasesResponse{Aliases: []lambda.AliasConfiguration{}}
	for _, name := range slices.Sorted(maps.Keys(h.Aliases)) {
		a := h.Aliases[name]
		if name <= after || in.FunctionVersion != nil && *in.FunctionVersion != a.Version {
			continue
		}
		if n := len(out.Aliases); n == limit {
			out.NextMarker = ptr(encodeMarker(*out.Aliases[n-1].Name))
			break
		}
		out.Aliases = append(out.Aliases, *describeAlias(h.ID, name, a))
	}
	return out, nil
}

// wholeHead finds the function of an operation that takes no qualifier.
func (l *Lambda) wholeHead(ctx context.Context, name *string) (*head, error) {
	id, err := wholeFunction(ctx, name)
	if err != nil {
		return nil, err
	}
	return l.Functions.head(id)
}

func describeAlias(id function.ID, name string, a alias) *lambda.AliasConfiguration {
	c := &lambda.AliasConfiguration{
		AliasArn: ptr(id.QualifiedARN(name)), Name: ptr(name), FunctionVersion: ptr(a.Version), Description: ptr(a.Description),
		RevisionId: ptr(a.RevisionID),
	}
	if len(a.Weights) > 0 {
		c.RoutingConfig = &lambda.AliasRoutingConfiguration{AdditionalVersionWeights: a.Weights}
	}
	return c
}

// pick is the version that an invocation of the alias gets.
func (a alias) pick() string {
	point := rand.Float64()
	for version, weight := range a.Weights {
		if point -= weight; point < 0 {
			return version
		}
	}
	return a.Version
}

// usersOf are the aliases that a version serves.
func (h *head) usersOf(version string) (names []string) {
	for name, a := range h.Aliases {
		if _, routed := a.Weights[version]; routed || a.Version == version {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
