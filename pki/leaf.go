package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// leafLife is how long an issued certificate is good; after leafRenewal the next asker gets a new one.
	leafLife    = 24 * time.Hour
	leafRenewal = 12 * time.Hour
	// generation is how many leaves one of the cache's two generations holds.
	generation = 128
	// maxName and maxLabel are DNS's own limits in bytes (RFC 1035, section 2.3.4).
	maxName, maxLabel = 253, 63
	// maxCommonName is X.520's limit.
	maxCommonName = 64
)

// ErrName says that a name is neither a host name nor an address.
var ErrName = errors.New("pki: not a host name or an address")

// leaf is an issued certificate.
type leaf struct {
	certificate *tls.Certificate
	renew       time.Time
}

// Certificate answers a certificate for names: host names, addresses, or both. It is a cached one, or is issued now.
func (c *CA) Certificate(names ...string) (*tls.Certificate, error) {
	names, err := normalize(names)
	if err != nil {
		return nil, err
	}
	key, now := strings.Join(names, " "), c.now()
	if found := c.cached(key, now); found != nil {
		return found, nil
	}
	// Two at once issue two: both are good, and nobody waits for the other.
	issued, err := c.issue(names, now)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	c.keep(key, &leaf{issued, now.Add(leafRenewal)})
	return issued, nil
}

// normalize checks names and brings them into one form and order.
func normalize(names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: none given", ErrName)
	}
	normal := make([]string, 0, len(names))
	for _, name := range names {
		if address, err := netip.ParseAddr(name); err == nil {
			normal = append(normal, address.Unmap().WithZone("").String())
			continue
		}
		if !hostName(name) {
			return nil, fmt.Errorf("%w: %q", ErrName, name)
		}
		normal = append(normal, strings.ToLower(name))
	}
	slices.Sort(normal)
	return slices.Compact(normal), nil
}

// hostName says whether a text is a host name, as RFC 1123 has it and with the underscore that buckets may have.
func hostName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, b := range []byte(label) {
			alphanumeric := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
			if !alphanumeric && b != '-' && b != '_' {
				return false
			}
		}
	}
	return true
}

// cached finds a leaf that needs no renewal.
func (c *CA) cached(key string, now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.young[key]
	if !ok {
		if found, ok = c.older[key]; ok {
			c.keepLocked(key, found) // what is used stays
		}
	}
	// A clock that was set back makes the certificate one of the future.
	if !ok || now.After(found.renew) || now.Before(found.certificate.Leaf.NotBefore) {
		return nil
	}
	return found.certificate
}

func (c *CA) keep(key string, l *leaf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keepLocked(key, l)
}

func (c *CA) keepLocked(key string, l *leaf) {
	if c.young == nil || len(c.young) >= generation {
		c.older, c.young = c.young, make(map[string]*leaf, generation)
	}
	c.young[key] = l
}

// issue makes a certificate with a key of its own.
func (c *CA) issue(names []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), NotBefore: now.Add(-backdate), NotAfter: now.Add(leafLife),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if template.NotAfter.After(c.certificate.NotAfter) {
		template.NotAfter = c.certificate.NotAfter
	}
	for _, name := range names {
		if address, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, address.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if len(names[0]) <= maxCommonName {
		template.Subject = pkix.Name{CommonName: names[0]}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.certificate, &key.PublicKey, c.key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: parsed}, nil
}
