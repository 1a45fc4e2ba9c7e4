// Package seal keeps secrets unreadable at rest and unmovable: a sealed value opens only with the data
// directory's key and in the place it was sealed for. It must not know what it seals, nor where that is stored.
//
// A sealed value is a version byte, the key's identifier (4 bytes), a random nonce (12 bytes) and the AES-256-GCM
// ciphertext with its tag (NIST SP 800-38D). The place is additional data. Random nonces are good for 2^32
// values under one key; each data directory has its own.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"hotaru/internal/wholefile"
)

const (
	keyFile    = "seal.key"
	keyBytes   = 32
	version    = 1
	idBytes    = 4
	nonceBytes = 12
	tagBytes   = 16
	headBytes  = 1 + idBytes + nonceBytes
)

// The refusals of Open and Unseal, for errors.Is.
var (
	// ErrExposed says that others can read the key file.
	ErrExposed = errors.New("seal: the key file can be read by others: set its mode to 0600")
	// ErrDamaged says that the key file is not what was written.
	ErrDamaged = errors.New("seal: the key file is damaged")
	// ErrSealed says that a value cannot be opened: it was changed, moved or sealed with another key.
	ErrSealed = errors.New("seal: the value does not open")
)

// Sealer seals with the key of one data directory. It is safe for concurrent use.
type Sealer struct {
	id   [idBytes]byte
	key  []byte
	aead cipher.AEAD
}

// Open reads a directory's key, and makes it, mode 0600, if there is none.
func Open(dir string) (*Sealer, error) {
	path := filepath.Join(dir, keyFile)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path); err != nil {
			return nil, fmt.Errorf("seal: %w", err)
		}
		key, err = readKey(path)
	}
	if err != nil {
		return nil, err
	}
	return newSealer(key)
}

func newSealer(key []byte) (*Sealer, error) {
	s := &Sealer{key: key}
	encryption, err := hkdf.Key(sha256.New, key, nil, "seal/encryption", keyBytes)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	block, err := aes.NewCipher(encryption)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	id := sha256.Sum256(append([]byte("seal/id"), encryption...))
	copy(s.id[:], id[:])
	return s, nil
}

// readKey reads a key file: base64 of the key, a space, and the first bytes of its SHA-256.
func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w (%s has %o)", ErrExposed, path, info.Mode().Perm())
	}
	text := make([]byte, 256)
	n, _ := f.Read(text) // an unreadable file is an empty one, and so damaged
	encoded, sum, _ := strings.Cut(strings.TrimSuffix(string(text[:n]), "\n"), " ")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) != keyBytes || sum != checksum(key) {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, path)
	}
	return key, nil
}

func checksum(key []byte) string {
	sum := sha256.Sum256(append([]byte("seal/file"), key...))
	return base64.StdEncoding.EncodeToString(sum[:6])
}

// makeKey writes a new key file, never over one that is there.
func makeKey(path string) error {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails
	return wholefile.Create(path, []byte(base64.StdEncoding.EncodeToString(key)+" "+checksum(key)+"\n"), 0o600)
}

// Seal makes a value unreadable. place says where it belongs, such as its record's key and its field's name.
func (s *Sealer) Seal(place string, plain []byte) []byte {
	sealed := make([]byte, headBytes, headBytes+len(plain)+tagBytes)
	sealed[0] = version
	copy(sealed[1:], s.id[:])
	nonce := sealed[1+idBytes : headBytes]
	_, _ = rand.Read(nonce) // never fails
	return s.aead.Seal(sealed, nonce, plain, []byte(place))
}

// Unseal opens a value that was sealed for the same place, or answers ErrSealed.
func (s *Sealer) Unseal(place string, sealed []byte) ([]byte, error) {
	if len(sealed) < headBytes+tagBytes || sealed[0] != version || [idBytes]byte(sealed[1:1+idBytes]) != s.id {
		return nil, ErrSealed
	}
	plain, err := s.aead.Open(nil, sealed[1+idBytes:headBytes], sealed[headBytes:], []byte(place))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// Derive makes a key of 32 bytes for one purpose; it says nothing about any other.
func (s *Sealer) Derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, s.key, nil, "seal/derived/"+purpose, keyBytes)
	if err != nil {
		// Documented: HKDF fails for absurd lengths only, and this one is constant. Derive panics then.
		panic(err)
	}
	return key
}

// String keeps the key out of logs.
func (s *Sealer) String() string { return "Sealer" }

// GoString keeps the key out of %#v.
func (s *Sealer) GoString() string { return s.String() }

// LogValue keeps the key out of structured logs.
func (s *Sealer) LogValue() slog.Value { return slog.StringValue(s.String()) }
