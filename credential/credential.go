// Package credential is who may sign requests to this installation: the root credential made at its first
// start, and temporary sessions, which are sealed by the installation's key and so need no storage. It must not
// know what anybody may do.
package credential

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hotaru/awsapi"
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
	c = Credential{AccessKeyID: newAccessKeyID("AKIA"), SecretAccessKey: randomText(30)}
	text, err := json.Marshal(c)
	if err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	if err := writeOnce(filepath.Join(dir, rootFile), text); err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	return ReadRoot(dir)
}

// writeOnce writes a whole file or none, and leaves one that somebody else wrote meanwhile.
func writeOnce(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Sealer seals session tokens.
type Sealer interface {
	Seal(context string, plain []byte) []byte
	Unseal(context string, sealed []byte) ([]byte, error)
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
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// session is what a session token holds.
type session struct {
	AccessKeyID string    `json:"k"`
	Account     string    `json:"a"`
	ARN         string    `json:"r"`
	UserID      string    `json:"u"`
	Expires     time.Time `json:"e"`
}

const sealContext = "credential/session"

// Mint makes a temporary credential for an identity. It costs no I/O.
func (a *Authority) Mint(who awsapi.Identity, lifetime time.Duration) (Credential, error) {
	s := session{
		AccessKeyID: newAccessKeyID("ASIA"), Account: who.Account, ARN: who.ARN, UserID: who.UserID,
		Expires: a.now().Add(lifetime),
	}
	text, err := json.Marshal(s)
	if err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	token := base64.StdEncoding.EncodeToString(a.Sealer.Seal(sealContext, text))
	return Credential{s.AccessKeyID, a.secret(token), token}, nil
}

// Lookup finds the secret and the identity behind an access key and, for a temporary one, its session token.
func (a *Authority) Lookup(_ context.Context, accessKeyID, token string) (secret string, who awsapi.Identity, err error) {
	if token == "" {
		if accessKeyID != a.Root.AccessKeyID {
			return "", awsapi.Identity{}, ErrUnknown
		}
		return a.Root.SecretAccessKey, a.RootIdentity(accessKeyID), nil
	}
	sealed, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return "", awsapi.Identity{}, ErrInvalid
	}
	text, err := a.Sealer.Unseal(sealContext, sealed)
	if err != nil {
		return "", awsapi.Identity{}, ErrInvalid
	}
	var s session
	if err := json.Unmarshal(text, &s); err != nil || s.AccessKeyID != accessKeyID {
		return "", awsapi.Identity{}, ErrInvalid
	}
	if a.now().After(s.Expires) {
		return "", awsapi.Identity{}, ErrExpired
	}
	return a.secret(token), awsapi.Identity{
		Account: s.Account, ARN: s.ARN, UserID: s.UserID, AccessKeyID: accessKeyID,
	}, nil
}

// RootIdentity is the root user as one of its access keys shows it.
func (a *Authority) RootIdentity(accessKeyID string) awsapi.Identity {
	return awsapi.Identity{
		Account: a.Account, ARN: "arn:" + a.Partition + ":iam::" + a.Account + ":root",
		UserID: a.Account, AccessKeyID: accessKeyID,
	}
}

func (a *Authority) secret(token string) string {
	mac := hmac.New(sha256.New, a.Key)
	mac.Write([]byte(token))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))[:40]
}

func (a *Authority) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// newAccessKeyID makes an identifier of 20 characters as IAM's
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids).
func newAccessKeyID(prefix string) string {
	var b [10]byte
	fill(b[:])
	return prefix + strings.ToUpper(base32.StdEncoding.EncodeToString(b[:]))
}

func randomText(n int) string {
	b := make([]byte, n)
	fill(b)
	return base64.StdEncoding.EncodeToString(b)
}

// fill takes random bytes; crypto/rand never fails since Go 1.24.
func fill(b []byte) { _, _ = rand.Read(b) }
