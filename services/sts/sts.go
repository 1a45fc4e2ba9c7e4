// Package sts is the part of STS that stands by itself: it tells callers who they are, and makes sessions of roles, of
// users and of the root user. A session is its token; nothing of it is stored. This package must not know where roles
// and policies are kept, nor evaluate them: both come from whoever wires it.
package sts

import (
	"context"
	"net/http"
	"strings"
	"time"

	"hotaru/awsapi"
	api "hotaru/awsapi/sts"
	"hotaru/credential"
	"hotaru/policy"
)

// Roles finds roles by account and name, without input or output.
type Roles interface {
	Role(scope awsapi.Scope, name string) (policy.Identity, bool)
	Managed(scope awsapi.Scope, arn string) (*policy.Document, []policy.Tag, bool)
}

// Authorizer decides who may assume a role.
type Authorizer interface {
	// MayAssume answers AWS's refusal if the role's trust policy and the caller's own policies do not allow all of
	// these actions. tags are the session's, keys STS's own condition keys by name in lower case.
	MayAssume(ctx context.Context, role policy.Identity, actions []string, tags []policy.Tag, keys map[string][]string) error
}

// Authority makes sessions; *credential.Authority is one.
type Authority interface {
	MintSession(s *credential.Session, lifetime time.Duration) (credential.Credential, error)
	// Session is the session that the caller's access key belongs to.
	Session(accessKeyID string) (*credential.Session, bool)
	AccountOf(accessKeyID string) string
}

// Service answers STS's operations. All fields are needed.
type Service struct {
	Roles      Roles
	Authorizer Authorizer
	Authority  Authority
}

// Handlers are the operations that are built.
func (s *Service) Handlers() api.Handlers {
	return api.Handlers{
		AssumeRole: s.assumeRole, GetSessionToken: s.getSessionToken, GetCallerIdentity: getCallerIdentity,
		GetAccessKeyInfo: s.getAccessKeyInfo,
	}
}

// getCallerIdentity needs no permission: on AWS too, nobody can be denied it.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func getCallerIdentity(ctx context.Context, _ *api.GetCallerIdentityRequest) (*api.GetCallerIdentityResponse, error) {
	caller := awsapi.CallFrom(ctx).Caller
	return &api.GetCallerIdentityResponse{UserId: &caller.UserID, Account: &caller.Account, Arn: &caller.ARN}, nil
}

// getAccessKeyInfo reads the account from the identifier alone; that there is such a key it does not say.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetAccessKeyInfo.html
func (s *Service) getAccessKeyInfo(_ context.Context, in *api.GetAccessKeyInfoRequest) (*api.GetAccessKeyInfoResponse, error) {
	return &api.GetAccessKeyInfoResponse{Account: new(s.Authority.AccountOf(*in.AccessKeyId))}, nil
}

const (
	defaultTokenSeconds = 43200
	// maxRootSeconds is the longest session of a root user.
	maxRootSeconds = 3600
)

// getSessionToken makes a session of the caller itself. It needs no permission, but a long-term credential.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
func (s *Service) getSessionToken(ctx context.Context, in *api.GetSessionTokenRequest) (*api.GetSessionTokenResponse, error) {
	caller := awsapi.CallFrom(ctx).Caller
	if _, temporary := s.Authority.Session(caller.AccessKeyID); temporary {
		return nil, denied("Cannot call GetSessionToken with session credentials")
	}
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, noSecondFactor()
	}
	seconds := int32(defaultTokenSeconds)
	if in.DurationSeconds != nil {
		seconds = *in.DurationSeconds
	}
	if strings.HasSuffix(caller.ARN, ":root") {
		seconds = min(seconds, maxRootSeconds)
	}
	session := &credential.Session{Account: caller.Account, ARN: caller.ARN, UserID: caller.UserID}
	c, err := s.Authority.MintSession(session, time.Duration(seconds)*time.Second)
	if err != nil {
		return nil, err
	}
	return &api.GetSessionTokenResponse{Credentials: show(c, session)}, nil
}

func show(c credential.Credential, s *credential.Session) *api.Credentials {
	return &api.Credentials{AccessKeyId: &c.AccessKeyID, SecretAccessKey: &c.SecretAccessKey, SessionToken: &c.SessionToken, Expiration: &s.Expires}
}

func denied(message string) error {
	return &awsapi.Error{Code: "AccessDenied", Status: http.StatusForbidden, Message: message}
}

// noSecondFactor: there are no MFA devices here, so no code is right.
func noSecondFactor() error {
	return denied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
}

func invalid(format string, args ...any) error {
	return awsapi.Errorf("ValidationError", format, args...)
}

func invalidParameter(format string, args ...any) error {
	return awsapi.Errorf("InvalidParameterValue", format, args...)
}
