// Package seal encrypts what must not lie readable on disk: environment variables, payloads, keys. It must
// not know where sealed values are kept.
//
// A sealed value is bound to its context, the record's key and field, so that it cannot be moved to another
// one. Its form is: version 1 byte, key ID 4 bytes, nonce 12 bytes, AES-256-GCM ciphertext and tag.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The errors of this package, for errors.Is.
var (
	// ErrKeyFile says that the key file is not what was written.
	ErrKeyFile = errors.New("seal: the key file is damaged")
	// ErrKeyMode says that others than the owner may read the key file, or that it is no plain file of ours.
	ErrKeyMode = errors.New("seal: the key file must be a plain file of this user with mode 0600")
	// ErrUnknownKey says that a value was sealed with another key.
	ErrUnknownKey = errors.New("seal: sealed with another key")
	// ErrUnseal says that a value was changed, or belongs to another context.
	ErrUnseal = errors.New("seal: not a value sealed for this context")
)

const (
	// KeyFile is the key's name in the directory.
	KeyFile = "seal.key"

	keyBytes    = 32
	version     = 1
	idBytes     = 4
	headerBytes = 1 + idBytes
	keyLine     = "hotaru seal key 1 "
)

// Sealer seals with the key of one directory. It is safe for concurrent use, and shows nothing of the key
// when it is printed or logged.
type Sealer struct {
	key  [keyBytes]byte
	id   [idBytes]byte
	aead cipher.AEAD
}

// Open reads the key of a directory, or makes it at the first start.
func Open(dir string) (*Sealer, error) {
	path := filepath.Join(dir, KeyFile)
	key, err := readKey(path)
	if errors.Is(err, os.ErrNotExist) {
		if err := makeKey(dir, path); err != nil {
			return nil, fmt.Errorf("seal: make the key: %w", err)
		}
		key, err = readKey(path)
	}
	if err != nil {
		return nil, err
	}
	return newSealer(key)
}

func newSealer(key []byte) (*Sealer, error) {
	s := &Sealer{}
	copy(s.key[:], key)
	copy(s.id[:], s.Derive("key id"))
	block, err := aes.NewCipher(s.Derive("seal"))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if s.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return s, nil
}

// Context names the field of a record that a value is sealed for, without ambiguity.
func Context(key, field string) string { return fmt.Sprintf("%d:%s:%s", len(key), key, field) }

// Seal encrypts plain for a context. Sealing the same twice gives different values.
func (s *Sealer) Seal(context string, plain []byte) []byte {
	sealed := make([]byte, 0, headerBytes+s.aead.Overhead()+len(plain))
	sealed = append(append(sealed, version), s.id[:]...)
	return s.aead.Seal(sealed, nil, plain, s.additional(context))
}

// Unseal gives back what was sealed for the same context: ErrUnknownKey or ErrUnseal otherwise.
func (s *Sealer) Unseal(context string, sealed []byte) ([]byte, error) {
	if len(sealed) < headerBytes || sealed[0] != version {
		return nil, ErrUnseal
	}
	if subtle.ConstantTimeCompare(sealed[1:headerBytes], s.id[:]) != 1 {
		return nil, ErrUnknownKey
	}
	plain, err := s.aead.Open(nil, nil, sealed[headerBytes:], s.additional(context))
	if err != nil {
		return nil, ErrUnseal
	}
	return plain, nil
}

// additional is what a ciphertext is bound to besides the key: its header and its context.
func (s *Sealer) additional(context string) []byte {
	bound := make([]byte, 0, headerBytes+len(context))
	bound = append(append(bound, version), s.id[:]...)
	return append(bound, context...)
}

// Derive returns a 32-byte key for another purpose (HKDF-SHA-256, RFC 5869): the same for the same purpose,
// independent of all others.
func (s *Sealer) Derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, s.key[:], nil, "hotaru "+purpose, keyBytes)
	if err != nil {
		panic("seal: " + err.Error()) // only for keys longer than 255 hashes
	}
	return key
}

// String says that there is a key, not which.
func (s Sealer) String() string { return "seal.Sealer(redacted)" }

// GoString is String for %#v.
func (s Sealer) GoString() string { return s.String() }

// Format is String for every other verb.
func (s Sealer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s Sealer) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps the key out of JSON and other encodings.
func (s Sealer) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// makeKey writes a new key beside the file and links it into place, so that the file is whole from its first
// moment and of two processes only one makes it.
func makeKey(dir, path string) error {
	var key [keyBytes]byte
	if _, err := rand.Read(key[:]); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, KeyFile+".new-") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(encodeKey(key[:]))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if errors.Is(err, os.ErrExist) {
		err = nil // the other process's key counts
	}
	return errors.Join(err, os.Remove(f.Name()), syncDir(dir))
}

func readKey(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%w: %s", ErrKeyMode, path)
	} else if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	defer f.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return nil, fmt.Errorf("seal: %s: %w", path, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG || stat.Mode&0o177 != 0 || int(stat.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%w: %s", ErrKeyMode, path)
	}
	content, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, fmt.Errorf("seal: %s: %w", path, err)
	}
	key, ok := decodeKey(content)
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrKeyFile, path)
	}
	return key, nil
}

// encodeKey writes the key and the start of its hash, by which a spoiled key is noticed.
func encodeKey(key []byte) []byte {
	sum := sha256.Sum256(key)
	return fmt.Appendf(nil, "%s%x %x\n", keyLine, key, sum[:8])
}

func decodeKey(content []byte) ([]byte, bool) {
	text, ok := bytes.CutPrefix(content, []byte(keyLine))
	if !ok || len(text) < 2*keyBytes {
		return nil, false
	}
	key := make([]byte, keyBytes)
	if _, err := hex.Decode(key, text[:2*keyBytes]); err != nil {
		return nil, false
	}
	return key, subtle.ConstantTimeCompare(content, encodeKey(key)) == 1
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
