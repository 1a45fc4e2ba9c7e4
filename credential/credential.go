// Package credential is who may sign requests to this installation: the root credential made at its first
// start, and temporary sessions, which are sealed by the installation's key and so need no storage. It must not
// know what anybody may do.
package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"hotaru/awsapi"
	"hotaru/internal/wholefile"
)

// Credential is what a client signs with.
type Credential struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	// SessionToken is empty for a long-term credential.
	SessionToken string `json:"-"`
}

// String and LogValue keep the secret out of logs.
func (c Credential) String() string { return "credential " + c.AccessKeyID }

// GoString keeps the secret out of %#v.
func (c Credential) GoString() string { return c.String() }

// The refusals of Lookup, for errors.Is.
var (
	ErrUnknown = errors.New("credential: unknown access key")
	ErrInvalid = errors.New("credential: invalid session token")
	ErrExpired = errors.New("credential: the session has expired")
)

// rootFile is the root credential's file in the data directory, mode 0600.
const rootFile = "credentials.json"

// ReadRoot reads the root credential of a data directory.
func ReadRoot(dir string) (Credential, error) {
	path := filepath.Join(dir, rootFile)
	info, err := os.Stat(path)
	if err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Credential{}, fmt.Errorf("credential: %s can be read by others (mode %o): set it to 0600", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	var c Credential
	if err := json.Unmarshal(text, &c); err != nil || c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return Credential{}, fmt.Errorf("credential: %s is damaged", path)
	}
	return c, nil
}

// OpenRoot reads the root credential, and makes it at the first start.
func OpenRoot(dir string) (Credential, error) {
	c, err := ReadRoot(dir)
	if !errors.Is(err, os.ErrNotExist) {
		return c, err
	}
	c = Credential{AccessKeyID: NewAccessKeyID("AKIA", ""), SecretAccessKey: NewSecret()}
	text, err := json.Marshal(c)
	if err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	if err := wholefile.Create(filepath.Join(dir, rootFile), append(text, '\n'), 0o600); err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	return ReadRoot(dir)
}

// Users finds the long-term access keys of users; *iam.Service does. It must not do any input or output.
type Users interface {
	// AccessKey finds an active access key; ok is false where there is none, whatever the reason.
	AccessKey(scope awsapi.Scope, accessKeyID string) (secret string, who awsapi.Identity, ok bool)
}

// Authority knows the credentials of one installation. It is safe for concurrent use.
type Authority struct {
	// Root is the root credential, of the root user of Account.
	Root      Credential
	Partition string
	Account   string
	Sealer    Sealer
	// Key is secret and used for nothing else: sessions' secrets are derived from it.
	Key []byte
	// Users are asked for access keys other than the root credential's; nil means that there are none.
	Users Users
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	verified sessionCache
}

// Lookup finds the secret and the identity behind an access key and, for a temporary one, its session token.
func (a *Authority) Lookup(_ context.Context, accessKeyID, token string) (secret string, who awsapi.Identity, err error) {
	if token != "" {
		v, err := a.verify(accessKeyID, token)
		if err != nil {
			return "", awsapi.Identity{}, err
		}
		return v.secret, v.session.Identity(), nil
	}
	if accessKeyID == a.Root.AccessKeyID {
		return a.Root.SecretAccessKey, a.RootIdentity(accessKeyID), nil
	}
	if a.Users != nil {
		secret, who, ok := a.Users.AccessKey(awsapi.Scope{Partition: a.Partition, Account: a.AccountOf(accessKeyID)}, accessKeyID)
		if ok {
			return secret, who, nil
		}
	}
	return "", awsapi.Identity{}, ErrUnknown
}

// AccountOf is the account that an access key identifier belongs to, as far as it says so; otherwise this
// installation's.
func (a *Authority) AccountOf(accessKeyID string) string {
	if account, ok := AccountOf(accessKeyID); ok && accessKeyID != a.Root.AccessKeyID {
		return account
	}
	return a.Account
}

// RootIdentity is the root user as one of its access keys shows it.
func (a *Authority) RootIdentity(accessKeyID string) awsapi.Identity {
	return awsapi.Identity{
		Account: a.Account, ARN: "arn:" + a.Partition + ":iam::" + a.Account + ":root",
		UserID: a.Account, AccessKeyID: accessKeyID,
	}
}

func (a *Authority) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}
