package seal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func open(t testing.TB, dir string) *Sealer {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeyFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	path := filepath.Join(dir, keyFile)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrExposed) {
		t.Errorf("a key that the group can read: %v", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole[:len(whole)-1] {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("an empty key file: %v", err)
	}
}

func TestValueDoesNotOpenElsewhere(t *testing.T) {
	s, other := open(t, t.TempDir()), open(t, t.TempDir())
	sealed := s.Seal("function/a", []byte("secret"))
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("the secret can be read")
	}
	if _, err := s.Unseal("function/b", sealed); !errors.Is(err, ErrSealed) {
		t.Errorf("moved: %v", err)
	}
	if _, err := other.Unseal("function/a", sealed); !errors.Is(err, ErrSealed) {
		t.Errorf("another installation: %v", err)
	}
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 1
		if _, err := s.Unseal("function/a", damaged); !errors.Is(err, ErrSealed) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if _, err := s.Unseal("function/a", sealed[:i]); !errors.Is(err, ErrSealed) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if plain, err := s.Unseal("function/a", sealed); err != nil || string(plain) != "secret" {
		t.Errorf("at home: %q %v", plain, err)
	}
}

func TestKeyLastsAndIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var group sync.WaitGroup
	derived := make([][]byte, 8)
	for i := range derived {
		group.Go(func() { derived[i] = open(t, dir).Derive("x") })
	}
	group.Wait()
	for _, d := range derived {
		if !bytes.Equal(d, derived[0]) {
			t.Fatal("two keys were made")
		}
	}
	if bytes.Equal(derived[0], open(t, dir).Derive("y")) {
		t.Error("two purposes have one key")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the directory: %v %v", entries, err)
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v %v", info.Mode(), err)
	}
}

func TestKeyIsNotShown(t *testing.T) {
	s := open(t, t.TempDir())
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "sealer", s)
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, s), log.String()} {
		if strings.Contains(shown, string(s.key)) || strings.Contains(shown, "aead") || strings.Contains(shown, "key") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func FuzzUnseal(f *testing.F) {
	s := open(f, f.TempDir())
	sealed := s.Seal("place", []byte("secret"))
	f.Add(sealed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if plain, err := s.Unseal("place", data); err == nil && !bytes.Equal(data, sealed) {
			t.Errorf("forged: %q", plain)
		}
	})
}
