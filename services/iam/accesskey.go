package iam

import (
	"context"
	"slices"
	"strings"
	"time"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
	"hotaru/credential"
	"hotaru/store"
)

const (
	kindKey = "iam-access-key"
	// maxKeys is IAM's quota of access keys per user.
	maxKeys = 2
	active  = "Active"
)

// accessKey is a user's; it stands in the user's record.
type accessKey struct {
	ID       string    `json:"id"`
	Inactive bool      `json:"inactive,omitempty"`
	Created  time.Time `json:"created"`
	// Secret is sealed.
	Secret []byte `json:"secret"`
}

// keyRecord says whose an access key is; its key holds the access key's identifier.
type keyRecord struct {
	User string `json:"user"`
}

func sealPlace(accessKeyID string) string { return "iam/access-key/" + accessKeyID }

func (k accessKey) status() string {
	if k.Inactive {
		return "Inactive"
	}
	return active
}

func noSuchKey(id string) error {
	return awsapi.Errorf("NoSuchEntity", "The Access Key with id %s cannot be found.", id)
}

func (u *userRecord) key(id string) int {
	return slices.IndexFunc(u.Keys, func(k accessKey) bool { return k.ID == id })
}

// createAccessKey answers the secret, this once.
func (s *Service) createAccessKey(ctx context.Context, in *api.CreateAccessKeyRequest) (*api.CreateAccessKeyResponse, error) {
	name, err := callersName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	scope := scopeOf(ctx)
	secret := credential.NewSecret()
	k := accessKey{ID: credential.NewAccessKeyID("AKIA", scope.Account), Created: instant()}
	k.Secret = s.sealer.Seal(sealPlace(k.ID), []byte(secret))
	var owner string
	err = retry(ctx, func() error {
		u, revision, err := s.users.load(ctx, scope, name)
		if err != nil {
			return err
		}
		if len(u.Keys) >= maxKeys {
			return awsapi.Errorf("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: %d", maxKeys)
		}
		u.Keys = append(u.Keys, k)
		owner = u.Name
		update, err := put(key(scope, kindUser, u.Name), u, store.At(revision))
		if err != nil {
			return err
		}
		index, err := put(key(scope, kindKey, k.ID), keyRecord{User: u.Name}, store.Absent())
		if err != nil {
			return err
		}
		return s.commit(ctx, update, index)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateAccessKeyResponse{AccessKey: &api.AccessKey{
		UserName: &owner, AccessKeyId: &k.ID, SecretAccessKey: &secret, Status: new(active), CreateDate: &k.Created,
	}}, nil
}

func (s *Service) listAccessKeys(ctx context.Context, in *api.ListAccessKeysRequest) (*api.ListAccessKeysResponse, error) {
	name, err := callersName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := s.users.get(scopeOf(ctx), name)
	if err != nil {
		return nil, err
	}
	keys := slices.Clone(u.Keys)
	slices.SortFunc(keys, func(a, b accessKey) int { return strings.Compare(a.ID, b.ID) })
	p, err := paginate(keys, func(k accessKey) string { return k.ID }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListAccessKeysResponse{AccessKeyMetadata: []api.AccessKeyMetadata{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, k := range p.items {
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, api.AccessKeyMetadata{
			UserName: &u.Name, AccessKeyId: new(k.ID), Status: new(k.status()), CreateDate: new(k.Created)})
	}
	return out, nil
}

func (s *Service) updateAccessKey(ctx context.Context, in *api.UpdateAccessKeyRequest) (*api.UpdateAccessKeyOutput, error) {
	name, err := callersName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	_, err = s.users.change(ctx, name, func(u *userRecord) error {
		at := u.key(*in.AccessKeyId)
		if at < 0 {
			return noSuchKey(*in.AccessKeyId)
		}
		u.Keys[at].Inactive = *in.Status != active
		return nil
	})
	return nil, err
}

func (s *Service) deleteAccessKey(ctx context.Context, in *api.DeleteAccessKeyRequest) (*api.DeleteAccessKeyOutput, error) {
	name, err := callersName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	scope := scopeOf(ctx)
	err = retry(ctx, func() error {
		u, revision, err := s.users.load(ctx, scope, name)
		if err != nil {
			return err
		}
		at := u.key(*in.AccessKeyId)
		if at < 0 {
			return noSuchKey(*in.AccessKeyId)
		}
		u.Keys = slices.Delete(u.Keys, at, at+1)
		update, err := put(key(scope, kindUser, u.Name), u, store.At(revision))
		if err != nil {
			return err
		}
		return s.commit(ctx, update, store.Change{Key: key(scope, kindKey, *in.AccessKeyId), Delete: true})
	})
	if err == nil {
		s.uses.forget(ctx, key(scope, kindKeyUse, *in.AccessKeyId))
	}
	return nil, err
}

// owner finds an access key and its user by the views; ok is false where there is no such key.
func (s *Service) owner(scope awsapi.Scope, accessKeyID string) (u *userRecord, k accessKey, ok bool) {
	item, found := s.keys.Get(key(scope, kindKey, accessKeyID))
	if !found {
		return nil, k, false
	}
	u, err := s.users.get(scope, item.Value.User)
	if err != nil {
		return nil, k, false
	}
	at := u.key(accessKeyID)
	if at < 0 {
		return nil, k, false
	}
	return u, u.Keys[at], true
}

func (s *Service) getAccessKeyLastUsed(ctx context.Context, in *api.GetAccessKeyLastUsedRequest) (*api.GetAccessKeyLastUsedResponse, error) {
	scope := scopeOf(ctx)
	u, k, ok := s.owner(scope, *in.AccessKeyId)
	if !ok {
		return nil, noSuchKey(*in.AccessKeyId)
	}
	last := &api.AccessKeyLastUsed{ServiceName: new("N/A"), Region: new("N/A")}
	if use, used := s.uses.last(scope, k.ID); used {
		last = &api.AccessKeyLastUsed{LastUsedDate: &use.At, ServiceName: &use.Service, Region: &use.Region}
	}
	return &api.GetAccessKeyLastUsedResponse{UserName: &u.Name, AccessKeyLastUsed: last}, nil
}
