package iam

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
)

func versionID(number int) string { return fmt.Sprintf("v%d", number) }

func (p *policyRecord) index(id string) int {
	return slices.IndexFunc(p.Versions, func(v policyVersion) bool { return versionID(v.Number) == id })
}

func noSuchVersion(arn, id string) error {
	return awsapi.Errorf("NoSuchEntity", "Policy %s version %s does not exist or is not attachable.", arn, id)
}

func isNoSuchEntity(err error) bool {
	var e *awsapi.Error
	return errors.As(err, &e) && e.Code == "NoSuchEntity"
}

// showVersion has no document: only GetPolicyVersion answers that.
func (p *policyRecord) showVersion(v policyVersion) api.PolicyVersion {
	return api.PolicyVersion{VersionId: new(versionID(v.Number)), IsDefaultVersion: new(v.Number == p.Default), CreateDate: &v.Created}
}

// defaultDocument is what the policy says now.
func (p *policyRecord) defaultDocument() string {
	at := p.index(versionID(p.Default))
	if at < 0 {
		return ""
	}
	return p.Versions[at].Document
}

func (s *Service) createPolicyVersion(ctx context.Context, in *api.CreatePolicyVersionRequest) (*api.CreatePolicyVersionResponse, error) {
	p, err := s.changePolicy(ctx, *in.PolicyArn, func(p *policyRecord) error {
		if err := checkManagedPolicy(*in.PolicyDocument); err != nil {
			return err
		}
		if len(p.Versions) >= maxVersions {
			return awsapi.Errorf("LimitExceeded", "A managed policy can have up to %d versions. Before you create a new version, "+
				"you must delete an existing version.", maxVersions)
		}
		p.Last++
		p.Updated = instant()
		p.Versions = append(p.Versions, policyVersion{Number: p.Last, Document: *in.PolicyDocument, Created: p.Updated})
		if value(in.SetAsDefault) {
			p.Default = p.Last
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.CreatePolicyVersionResponse{PolicyVersion: new(p.showVersion(p.Versions[len(p.Versions)-1]))}, nil
}

func (s *Service) getPolicyVersion(ctx context.Context, in *api.GetPolicyVersionRequest) (*api.GetPolicyVersionResponse, error) {
	p, err := s.policy(scopeOf(ctx), *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	at := p.index(*in.VersionId)
	if at < 0 {
		return nil, noSuchVersion(*in.PolicyArn, *in.VersionId)
	}
	shown := p.showVersion(p.Versions[at])
	shown.Document = escaped(p.Versions[at].Document)
	return &api.GetPolicyVersionResponse{PolicyVersion: &shown}, nil
}

// listPolicyVersions answers the newest version first.
func (s *Service) listPolicyVersions(ctx context.Context, in *api.ListPolicyVersionsRequest) (*api.ListPolicyVersionsResponse, error) {
	p, err := s.policy(scopeOf(ctx), *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	versions := slices.Clone(p.Versions)
	slices.Reverse(versions)
	// Markers need names that sort as the list does.
	page, err := paginate(versions, func(v policyVersion) string { return fmt.Sprintf("%010d", 1<<32-v.Number) }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListPolicyVersionsResponse{Versions: []api.PolicyVersion{}, IsTruncated: page.truncated, Marker: page.marker}
	for _, v := range page.items {
		out.Versions = append(out.Versions, p.showVersion(v))
	}
	return out, nil
}

func (s *Service) setDefaultPolicyVersion(ctx context.Context, in *api.SetDefaultPolicyVersionRequest) (*api.SetDefaultPolicyVersionOutput, error) {
	_, err := s.changePolicy(ctx, *in.PolicyArn, func(p *policyRecord) error {
		at := p.index(*in.VersionId)
		if at < 0 {
			return noSuchVersion(*in.PolicyArn, *in.VersionId)
		}
		p.Default, p.Updated = p.Versions[at].Number, instant()
		return nil
	})
	return nil, err
}

func (s *Service) deletePolicyVersion(ctx context.Context, in *api.DeletePolicyVersionRequest) (*api.DeletePolicyVersionOutput, error) {
	_, err := s.changePolicy(ctx, *in.PolicyArn, func(p *policyRecord) error {
		at := p.index(*in.VersionId)
		switch {
		case at < 0:
			return noSuchVersion(*in.PolicyArn, *in.VersionId)
		case p.Versions[at].Number == p.Default:
			return awsapi.Errorf("DeleteConflict", "Cannot delete the default version of a policy.")
		}
		p.Versions = slices.Delete(p.Versions, at, at+1)
		return nil
	})
	return nil, err
}
