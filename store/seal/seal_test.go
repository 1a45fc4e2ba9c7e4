package seal_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hotaru/store/seal"
)

func open(t testing.TB, dir string) *seal.Sealer {
	t.Helper()
	s, err := seal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestUnsealRefuses(t *testing.T) {
	s, other := open(t, t.TempDir()), open(t, t.TempDir())
	sealed := s.Seal("a/env", []byte("secret"))
	if _, err := s.Unseal("b/env", sealed); !errors.Is(err, seal.ErrUnseal) {
		t.Errorf("another context: %v", err)
	}
	if _, err := other.Unseal("a/env", sealed); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("another key: %v", err)
	}
	for i := range sealed {
		spoiled := bytes.Clone(sealed)
		spoiled[i] ^= 1
		if plain, err := s.Unseal("a/env", spoiled); err == nil {
			t.Errorf("byte %d changed: %q", i, plain)
		}
		if plain, err := s.Unseal("a/env", sealed[:i]); err == nil {
			t.Errorf("%d bytes of it: %q", i, plain)
		}
	}
}

func TestOpenRefusesKeyFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, seal.KeyFile)
	open(t, dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o602, 0o700} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.Open(dir); !errors.Is(err, seal.ErrKeyMode) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	contents := [][]byte{{}, whole[:len(whole)-1], append(bytes.Clone(whole), '\n'), bytes.ToUpper(whole)}
	for i := range whole {
		spoiled := bytes.Clone(whole)
		spoiled[i] ^= 1
		contents = append(contents, spoiled)
	}
	for _, content := range contents {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.Open(dir); !errors.Is(err, seal.ErrKeyFile) {
			t.Errorf("%d bytes, spoiled: %v", len(content), err)
		}
	}
	if err := errors.Join(os.Remove(path), os.Symlink("/dev/zero", path)); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Open(dir); !errors.Is(err, seal.ErrKeyMode) {
		t.Errorf("a link: %v", err)
	}
}

func TestSealAndUnseal(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	again := open(t, dir)
	for _, plain := range [][]byte{nil, {}, []byte("secret"), make([]byte, 1<<16)} {
		first, second := s.Seal("c", plain), s.Seal("c", plain)
		if bytes.Equal(first, second) {
			t.Error("sealing twice gives the same")
		}
		if got, err := again.Unseal("c", first); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes came back as %d, %v", len(plain), len(got), err)
		}
		if len(plain) > 0 && bytes.Contains(first, plain) {
			t.Error("the sealed value shows the plain one")
		}
	}
	if seal.Context("a", "bc") == seal.Context("ab", "c") {
		t.Error("contexts are ambiguous")
	}
}

func TestDerive(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if !bytes.Equal(s.Derive("sessions"), open(t, dir).Derive("sessions")) {
		t.Error("the same purpose gives different keys")
	}
	if bytes.Equal(s.Derive("sessions"), s.Derive("session")) || len(s.Derive("sessions")) != 32 {
		t.Error("purposes are not apart")
	}
	if bytes.Equal(s.Derive("sessions"), open(t, t.TempDir()).Derive("sessions")) {
		t.Error("directories are not apart")
	}
}

func TestOneKeyOfManyStarters(t *testing.T) {
	dir := t.TempDir()
	keys := make([]string, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			s, err := seal.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = string(s.Derive("x"))
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatal("starters have different keys")
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("left %v, %v", entries, err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestNothingShowsTheKey(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	content, err := os.ReadFile(filepath.Join(dir, seal.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	hexKey := strings.Fields(string(content))[4]
	key, err := hex.DecodeString(hexKey)
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "s", s, "p", *s, "in", struct{ S *seal.Sealer }{s})
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("x", "s", s, "in", struct{ S *seal.Sealer }{s})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		fmt.Fprintf(&shown, verb, s)
		fmt.Fprintf(&shown, verb, struct{ S *seal.Sealer }{s})
	}
	if err := json.NewEncoder(&shown).Encode(map[string]any{"s": s}); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{hexKey, strings.ToUpper(hexKey), string(key), strings.Trim(fmt.Sprint(key), "[]")} {
		if strings.Contains(shown.String(), secret) {
			t.Errorf("the key is shown in: %s", shown.String())
		}
	}
	if !strings.Contains(shown.String(), "redacted") {
		t.Errorf("shown: %s", shown.String())
	}
}
