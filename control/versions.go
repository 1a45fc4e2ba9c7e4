package control

import (
	"context"
	"strconv"
	"strings"

	"hotaru/awsapi/lambda"
	"hotaru/function"
)

// PublishVersion implements https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html.
func (l *Lambda) PublishVersion(ctx context.Context, in *lambda.PublishVersionRequest) (*lambda.FunctionConfiguration, error) {
	if in.PublishTo != nil {
		return nil, notBuilt("PublishTo")
	}
	t, err := l.updatable(ctx, in.FunctionName, in.RevisionId)
	if err != nil {
		return nil, err
	}
	var v *function.Version
	h, err := l.Functions.update(ctx, t.id, func(h *head) ([]*function.Version, error) {
		if err := checkUpdatable(h, in.RevisionId); err != nil {
			return nil, err
		}
		if h.Latest != h.Serving {
			return nil, inState(function.Failed) // $LATEST's newest configuration never came to serve
		}
		latest, err := l.Functions.version(ctx, h, h.Latest)
		if err != nil {
			return nil, err
		}
		if given := value(in.CodeSha256); given != "" && given != latest.Code.SHA256 {
			return nil, invalid("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with "+
				"the CodeSHA256 in $LATEST.", given, latest.Code.SHA256)
		}
		if v, err = l.Functions.unchanged(ctx, h, latest); err != nil {
			return nil, err
		}
		if v != nil {
			return nil, errUnchanged
		}
		v = h.publish(latest, in.Description)
		return []*function.Version{v}, nil
	})
	if err != nil {
		return nil, err
	}
	return l.describe(ctx, h, v, v.Number()), nil
}

// ListVersionsByFunction implements https://docs.aws.amazon.com/lambda/latest/api/API_ListVersionsByFunction.html:
// $LATEST, and then the published versions in their order.
func (l *Lambda) ListVersionsByFunction(ctx context.Context,
	in *lambda.ListVersionsByFunctionRequest) (*lambda.ListVersionsByFunctionResponse, error) {
	t, err := resolve(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	h, err := l.Functions.head(t.id)
	if err != nil {
		return nil, err
	}
	marker, err := decodeMarker(value(in.Marker))
	if err != nil {
		return nil, err
	}
	after := fromLatest
	if marker != "" {
		if after, err = strconv.Atoi(marker); err != nil {
			return nil, invalid("Invalid marker")
		}
	}
	out := &lambda.ListVersionsByFunctionResponse{}
	out.Versions, after, err = l.listVersions(ctx, h, after, pageSize(in.MaxItems))
	if after != toEnd {
		out.NextMarker = ptr(encodeMarker(strconv.Itoa(after)))
	}
	return out, err
}

// Where a list of a function's versions starts and ends, beside the numbers.
const (
	fromLatest = -1
	toEnd      = -2
)

// listVersions shows up to limit versions of a function: those after a number, $LATEST being 0. next is where to go on.
func (l *Lambda) listVersions(ctx context.Context, h *head, after, limit int) (list []lambda.FunctionConfiguration, next int, err error) {
	list = []lambda.FunctionConfiguration{}
	show := func(v *function.Version) {
		c := l.summarize(v, v.Version)
		c.RevisionId = ptr(h.revisionOf(v))
		list = append(list, *c)
	}
	if after < 0 {
		latest, err := l.Functions.version(ctx, h, h.Latest)
		if err != nil {
			return nil, toEnd, err
		}
		show(latest)
		after = 0
	}
	for _, v := range l.Functions.inOrder(h, after) {
		if len(list) >= limit {
			return list, after, nil
		}
		show(v)
		after, _ = strconv.Atoi(v.Version) // inOrder has read it
	}
	return list, toEnd, nil
}

// listAllVersions fills a page of ListFunctions with the versions of all functions. Its marker is the last function's
// name, with the last version's number where there are more of them.
func (l *Lambda) listAllVersions(ctx context.Context, scope function.ID, marker string, limit int,
	out *lambda.ListFunctionsResponse) error {
	last, number, within := strings.Cut(marker, "/")
	add := func(h *head, after int) (more bool, err error) {
		list, next, err := l.listVersions(ctx, h, after, limit-len(out.Functions))
		out.Functions = append(out.Functions, list...)
		if next != toEnd {
			out.NextMarker = ptr(encodeMarker(h.ID.Name + "/" + strconv.Itoa(next)))
		}
		return next != toEnd, err
	}
	if within {
		after, err := strconv.Atoi(number)
		if err != nil {
			return invalid("Invalid marker")
		}
		scope.Name = last
		if h, err := l.Functions.head(scope); err == nil { // else it was deleted meanwhile
			if more, err := add(h, max(after, 0)); more || err != nil {
				return err
			}
		}
	}
	for h := range l.Functions.list(scope, last) {
		if len(out.Functions) == limit {
			out.NextMarker = ptr(encodeMarker(last))
			return nil
		}
		if more, err := add(h, fromLatest); more || err != nil {
			return err
		}
		last = h.ID.Name
	}
	return nil
}
