package sts_test

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"testing"
	"time"

	"hotaru/awsapi"
	api "hotaru/awsapi/sts"
	"hotaru/credential"
	"hotaru/policy"
	"hotaru/services/sts"
)

// kind is a directory with one role, which everybody may assume.
type kind struct{}

func (kind) Role(awsapi.Scope, string) (policy.Identity, bool) {
	return policy.Identity{ARN: role, ID: "AROAAAAAAAAAAAAAAAAAA", MaxSession: time.Hour}, true
}

func (kind) Managed(awsapi.Scope, string) (*policy.Document, []policy.Tag, bool) {
	return nil, nil, false
}

func (kind) MayAssume(context.Context, policy.Identity, []string, []policy.Tag, map[string][]string) error {
	return nil
}

// open does not seal.
type open struct{}

func (open) Seal(_ string, plain []byte) []byte             { return plain }
func (open) Unseal(_ string, sealed []byte) ([]byte, error) { return sealed, nil }

const role = "arn:aws:iam::123456789012:role/worker"

// TestPackedPolicySize: tags and policies have room enough, but not without end.
func TestPackedPolicySize(t *testing.T) {
	service := &sts.Service{Roles: kind{}, Authorizer: kind{}, Authority: &credential.Authority{Sealer: open{}}}
	assume := service.Handlers().AssumeRole
	ctx := awsapi.WithCall(t.Context(), &awsapi.Call{Scope: awsapi.Scope{Partition: "aws", Account: "123456789012"}})
	in := func(tags int) *api.AssumeRoleRequest {
		in := &api.AssumeRoleRequest{RoleArn: new(role), RoleSessionName: new("s1")}
		for i := range tags {
			// What is random cannot be packed.
			noise := make([]byte, 150)
			if _, err := rand.Read(noise); err != nil {
				t.Fatal(err)
			}
			in.Tags = append(in.Tags, api.Tag{Key: new(fmt.Sprint("key", i)), Value: new(base32.StdEncoding.EncodeToString(noise))})
		}
		return in
	}
	_, err := assume(ctx, in(50))
	var e *awsapi.Error
	if !errors.As(err, &e) || e.Code != "PackedPolicyTooLarge" {
		t.Errorf("50 large tags: %v", err)
	}
	plain, err := assume(ctx, in(0))
	if err != nil || plain.PackedPolicySize != nil {
		t.Errorf("without tags: %v", err)
	}
	few, err := assume(ctx, in(5))
	if err != nil || few.PackedPolicySize == nil || *few.PackedPolicySize < 10 || *few.PackedPolicySize > 60 {
		t.Errorf("five tags: %v", err)
	}
	limited := in(0)
	limited.Policy = new(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	out, err := assume(ctx, limited)
	if err != nil || out.PackedPolicySize == nil || *out.PackedPolicySize < 1 || *out.PackedPolicySize > 10 {
		t.Errorf("a small policy: %v", err)
	}
}
