package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// realCertificate writes a certificate that another authority issued.
func realCertificate(t *testing.T, dir string, authority *CA, names ...string) (certificatePath, keyPath string) {
	t.Helper()
	issued, err := authority.issue(names, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificatePath, keyPath = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write(t, certificatePath, encodeCertificate(issued.Certificate[0]), 0o644)
	write(t, keyPath, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), 0o600)
	return certificatePath, keyPath
}

func TestOpenFilesRefuses(t *testing.T) {
	dir, other, authority := t.TempDir(), t.TempDir(), open(t, t.TempDir())
	certificate, key := realCertificate(t, dir, authority, "api.example")
	otherCertificate, _ := realCertificate(t, other, authority, "api.example")
	for name, paths := range map[string][2]string{
		"no certificate": {filepath.Join(dir, "none"), key}, "no key": {certificate, filepath.Join(dir, "none")},
		"swapped": {key, certificate}, "of another key": {otherCertificate, key}, "a directory": {dir, key},
	} {
		if f, err := OpenFiles(paths[0], paths[1], slog.New(slog.DiscardHandler)); err == nil || f != nil {
			t.Errorf("%s is accepted", name)
		} else if !strings.Contains(err.Error(), paths[0]) {
			t.Errorf("%s: the refusal does not name the file: %v", name, err)
		}
	}
}

func TestFilesBeforeAuthority(t *testing.T) {
	own, public := open(t, t.TempDir()), open(t, t.TempDir())
	certificate, key := realCertificate(t, t.TempDir(), public, "api.example")
	files, err := OpenFiles(certificate, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := files.Before(own.TLSConfig(func(name string) bool { return name == "localhost" }))
	for name, want := range map[string]*CA{"api.example": public, "localhost": own, "127.0.0.1": own} {
		if _, err := handshake(t, server, &tls.Config{RootCAs: want.Pool(), ServerName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = handshake(t, server, &tls.Config{RootCAs: public.Pool(), ServerName: "other.example"})
	if err == nil || !strings.Contains(err.Error(), "valid for api.example, not other.example") {
		t.Errorf("another name: %v", err)
	}
}

func TestFilesAreReadAgain(t *testing.T) {
	dir, authority := t.TempDir(), open(t, t.TempDir())
	certificate, key := realCertificate(t, dir, authority, "api.example")
	var log bytes.Buffer
	files, err := OpenFiles(certificate, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Now()
	files.now = func() time.Time { return clock }
	first := files.certificate()
	whole, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certificate, whole[:100], 0o644)
	clock = clock.Add(lookAgain + time.Second)
	if files.certificate() != first || !strings.Contains(log.String(), "the old one stays") {
		t.Errorf("half a file: %s", log.String())
	}
	log.Reset()
	clock = clock.Add(lookAgain + time.Second)
	if files.certificate() != first || log.Len() > 0 {
		t.Errorf("the same half file again: %s", log.String())
	}
	realCertificate(t, dir, authority, "new.example")
	if files.certificate() != first {
		t.Error("the files are looked at for every handshake")
	}
	clock = clock.Add(lookAgain + time.Second)
	if files.certificate().Leaf.VerifyHostname("new.example") != nil {
		t.Error("the new certificate is not shown")
	}
}
