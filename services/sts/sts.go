// Package sts is the part of STS that stands by itself: it tells callers who they are. It must not know of roles; who
// may assume one is for whoever evaluates policies.
package sts

import (
	"context"

	"hotaru/awsapi"
	api "hotaru/awsapi/sts"
)

// Handlers are the operations that are built.
func Handlers() api.Handlers { return api.Handlers{GetCallerIdentity: getCallerIdentity} }

// getCallerIdentity needs no permission: on AWS too, nobody can be denied it.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func getCallerIdentity(ctx context.Context, _ *api.GetCallerIdentityRequest) (*api.GetCallerIdentityResponse, error) {
	caller := awsapi.CallFrom(ctx).Caller
	return &api.GetCallerIdentityResponse{UserId: &caller.UserID, Account: &caller.Account, Arn: &caller.ARN}, nil
}
