// Package pki is the installation's own certificate authority, and the certificates that servers show: short-lived
// ones that the authority issues by name, or real ones from files. It must not know who asks, nor which names are
// good: whoever serves says so by a function.
//
// The authority is made at the first start: ca.key (mode 0600) and ca.pem (mode 0644) in the data directory. Whoever
// trusts ca.pem trusts whatever this installation says it is, and nothing else of ours: the authority cannot make
// another one (RFC 5280, section 4.2.1.9: path length 0). ca.pem is written again with the same key and the same name
// before it ends, so what trusted the old file goes on trusting.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"path/filepath"
	"sync"
	"time"

	"hotaru/internal/wholefile"
)

// The files in the data directory.
const (
	// CertificateFile is what clients trust, mode 0644.
	CertificateFile = "ca.pem"
	keyFile         = "ca.key"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// authorityRenewal is how long before its end an authority's certificate is written again.
	authorityRenewal = 90 * 24 * time.Hour
	// backdate lets clients whose clock is late take a new certificate.
	backdate = time.Hour
)

// The refusals of Open, for errors.Is.
var (
	// ErrExposed says that others can read the authority's key.
	ErrExposed = errors.New("pki: the authority's key can be read by others: set its mode to 0600")
	// ErrDamaged says that the files are not what was written, or do not belong together.
	ErrDamaged = errors.New("pki: the certificate authority is damaged")
)

// CA is a certificate authority. It is safe for concurrent use.
type CA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
	path        string
	now         func() time.Time

	mu sync.Mutex
	// young and older, guarded by mu, are the leaves: when young is full it becomes older.
	young, older map[string]*leaf
}

// Options configure Open. The zero value is usable.
type Options struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Open reads a directory's authority, and makes it if there is none.
func Open(dir string, options Options) (*CA, error) {
	c := &CA{path: filepath.Join(dir, CertificateFile), now: options.Now}
	if c.now == nil {
		c.now = time.Now
	}
	stored, err := readFile(c.path, 0)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return nil, err
	}
	if c.key, err = openKey(filepath.Join(dir, keyFile), fresh); err != nil {
		return nil, err
	}
	if !fresh {
		if c.certificate, err = c.parse(stored); err != nil {
			return nil, err
		}
		c.pem = stored
	}
	now := c.now()
	if fresh || now.Before(c.certificate.NotBefore) || now.After(c.certificate.NotAfter.Add(-authorityRenewal)) {
		return c, c.issueSelf()
	}
	return c, nil
}

// openKey reads the authority's key. With make it is made if it is missing; without, its certificate is already there
// and trusted by somebody, so that a new key would only puzzle.
func openKey(path string, makeIt bool) (*ecdsa.PrivateKey, error) {
	text, err := readFile(path, 0o077)
	if errors.Is(err, fs.ErrNotExist) {
		if !makeIt {
			return nil, fmt.Errorf("%w: %s is missing: put it back, or remove %s for a new authority", ErrDamaged, path, CertificateFile)
		}
		if err := makeKey(path); err != nil {
			return nil, fmt.Errorf("pki: %w", err)
		}
		text, err = readFile(path, 0o077)
	}
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	return key, nil
}

func makeKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	text, err := formatKey(key)
	if err != nil {
		return err
	}
	return wholefile.Create(path, text, 0o600)
}

const (
	keyBlock         = "PRIVATE KEY"
	certificateBlock = "CERTIFICATE"
)

func formatKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

// parseKey takes a key only in the very form that formatKey gives it, so that no changed byte goes unnoticed.
func parseKey(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyBlock {
		return nil, errors.New("no private key in it")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("not an ECDSA key on P-256")
	}
	again, err := formatKey(key)
	if err != nil || !bytes.Equal(again, text) {
		return nil, errors.New("not as it was written")
	}
	return key, nil
}

// parse takes the authority's certificate.
func (c *CA) parse(text []byte) (*x509.Certificate, error) {
	damaged := func(why any) error { return fmt.Errorf("%w: %s: %v", ErrDamaged, c.path, why) }
	block, _ := pem.Decode(text)
	if block == nil || block.Type != certificateBlock || !bytes.Equal(encodeCertificate(block.Bytes), text) {
		return nil, damaged("no certificate in it")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, damaged(err)
	}
	if !c.key.PublicKey.Equal(certificate.PublicKey) {
		return nil, damaged("it belongs to another key than " + keyFile)
	}
	if err := certificate.CheckSignatureFrom(certificate); err != nil {
		return nil, damaged(err)
	}
	return certificate, nil
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der})
}

// issueSelf writes the authority's certificate, new or again.
func (c *CA) issueSelf() error {
	public, err := c.key.PublicKey.Bytes()
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	id := sha256.Sum256(public)
	now := c.now()
	template := &x509.Certificate{
		SerialNumber: serial(),
		// The name is the key's, so that two installations are never mistaken for one another.
		Subject:   pkix.Name{CommonName: "Hotaru local CA " + hex.EncodeToString(id[:4]), Organization: []string{"Hotaru"}},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(authorityLife),
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: id[:20],
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &c.key.PublicKey, c.key)
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	if err := wholefile.Replace(c.path, encodeCertificate(der), 0o644); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	// Whoever opened the same new directory at the same time may have written last: what is there counts.
	text, err := readFile(c.path, 0)
	if err != nil {
		return err
	}
	c.pem = text
	c.certificate, err = c.parse(text)
	return err
}

// serial is a random serial number of 127 bits (RFC 5280, section 4.1.2.2: positive, at most 20 octets).
func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] &= 0x7f
	b[15] |= 1 // never zero
	return new(big.Int).SetBytes(b[:])
}

// PEM is the authority's certificate, for clients to trust. It must not be changed.
func (c *CA) PEM() []byte { return c.pem }

// Path is the file of the authority's certificate.
func (c *CA) Path() string { return c.path }

// Pool trusts this authority alone.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.certificate)
	return pool
}

// String keeps the key out of logs.
func (c *CA) String() string { return c.certificate.Subject.CommonName }

// GoString keeps the key out of %#v.
func (c *CA) GoString() string { return c.String() }

// LogValue keeps the key out of structured logs.
func (c *CA) LogValue() slog.Value { return slog.StringValue(c.String()) }
