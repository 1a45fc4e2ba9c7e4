package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, dir string, options ...Options) *CA {
	t.Helper()
	c, err := Open(dir, append(options, Options{})[0])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(when time.Time) Options { return Options{Now: func() time.Time { return when }} }

func write(t *testing.T, path string, text []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, text, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	keyPath, certificatePath := filepath.Join(dir, keyFile), filepath.Join(dir, CertificateFile)
	key, certificate := read(t, keyPath), read(t, certificatePath)
	other := t.TempDir()
	open(t, other)

	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		write(t, keyPath, key, mode)
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrExposed) {
			t.Errorf("a key of mode %o: %v", mode, err)
		}
	}
	for name, c := range map[string]struct{ key, certificate []byte }{
		"empty key":              {nil, certificate},
		"empty certificate":      {key, nil},
		"cut key":                {key[:len(key)/2], certificate},
		"cut certificate":        {key, certificate[:len(certificate)/2]},
		"more after the key":     {append(bytes.Clone(key), key...), certificate},
		"two certificates":       {key, append(bytes.Clone(certificate), certificate...)},
		"another key":            {read(t, filepath.Join(other, keyFile)), certificate},
		"another certificate":    {key, read(t, filepath.Join(other, CertificateFile))},
		"certificate for a key":  {certificate, certificate},
		"a file without an end":  {bytes.Repeat([]byte("x"), fileLimit+1), certificate},
		"a certificate too long": {key, bytes.Repeat([]byte("x"), fileLimit+1)},
	} {
		write(t, keyPath, c.key, 0o600)
		write(t, certificatePath, c.certificate, 0o644)
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(read(t, keyPath), c.key) || !bytes.Equal(read(t, certificatePath), c.certificate) {
			t.Errorf("%s: the files were changed", name)
		}
	}
	for _, path := range []string{keyPath, certificatePath} {
		write(t, keyPath, key, 0o600)
		write(t, certificatePath, certificate, 0o644)
		whole := read(t, path)
		for i := range whole {
			damaged := bytes.Clone(whole)
			damaged[i] ^= 1
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, Options{}); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s, byte %d flipped: %v", filepath.Base(path), i, err)
			}
		}
	}
	write(t, certificatePath, certificate, 0o644)
	if err := os.Remove(keyPath); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), keyFile) {
		t.Errorf("a certificate without its key: %v", err)
	}
	if _, err := os.Stat(keyPath); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a new key was made: %v", err)
	}
}

func TestAuthorityLastsAndIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var group sync.WaitGroup
	opened := make([]*CA, 8)
	for i := range opened {
		group.Go(func() {
			c, err := Open(dir, Options{})
			if err != nil {
				t.Error(err)
			}
			opened[i] = c
		})
	}
	group.Wait()
	again := open(t, dir)
	for _, c := range opened {
		if !c.key.Equal(again.key) {
			t.Fatal("two keys were made")
		}
	}
	if !bytes.Equal(read(t, again.Path()), again.PEM()) || !bytes.Equal(open(t, dir).PEM(), again.PEM()) {
		t.Error("the certificate is not the file's, or was made again")
	}
	for name, want := range map[string]os.FileMode{keyFile: 0o600, CertificateFile: 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left in the directory: %v %v", entries, err)
	}
	c := again.certificate
	if !c.IsCA || c.MaxPathLen != 0 || !c.MaxPathLenZero || c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("the authority is %+v", c)
	}
	if life := c.NotAfter.Sub(c.NotBefore); life < authorityLife || !c.NotBefore.Before(time.Now().Add(-backdate/2)) {
		t.Errorf("it lives from %s to %s", c.NotBefore, c.NotAfter)
	}
	if other := open(t, t.TempDir()); other.certificate.Subject.CommonName == c.Subject.CommonName {
		t.Error("two installations have one name")
	}
	if err := os.Remove(again.Path()); err != nil {
		t.Fatal(err)
	}
	if renewed := open(t, dir); !renewed.key.Equal(again.key) || bytes.Equal(renewed.PEM(), again.PEM()) {
		t.Error("a lost certificate was not written again with the same key")
	}
}

// TestAuthorityRenewal: a certificate near its end, or from a clock that was wrong, is written again, and who trusted
// the old one trusts what is issued after it.
func TestAuthorityRenewal(t *testing.T) {
	dir := t.TempDir()
	start := time.Now().Truncate(time.Second)
	first := open(t, dir, at(start))
	if same := open(t, dir, at(start.Add(authorityLife-authorityRenewal-time.Hour))); !bytes.Equal(same.PEM(), first.PEM()) {
		t.Error("renewed too early")
	}
	late := start.Add(authorityLife - authorityRenewal + time.Hour)
	renewed := open(t, dir, at(late))
	if bytes.Equal(renewed.PEM(), first.PEM()) || !bytes.Equal(read(t, renewed.Path()), renewed.PEM()) {
		t.Fatal("not renewed")
	}
	issued, err := renewed.Certificate("localhost")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*CA{"old": first, "new": renewed} {
		if _, err := issued.Leaf.Verify(x509.VerifyOptions{Roots: c.Pool(), DNSName: "localhost", CurrentTime: late}); err != nil {
			t.Errorf("with the %s authority: %v", name, err)
		}
	}
	if early := open(t, dir, at(start)); bytes.Equal(early.PEM(), renewed.PEM()) {
		t.Error("a certificate of the future stays")
	}
}

func TestCertificateRefuses(t *testing.T) {
	c := open(t, t.TempDir())
	for _, names := range [][]string{nil, {""}, {"a", ""}, {"."}, {"a..b"}, {"a."}, {".a"}, {"-a"}, {"a-"}, {"a b"}, {"a/b"},
		{"*.example"}, {"bücher.example"}, {"a\x00b"}, {"a\nb"}, {strings.Repeat("a", 64)}, {strings.Repeat("a.", 130) + "a"}} {
		if got, err := c.Certificate(names...); !errors.Is(err, ErrName) || got != nil {
			t.Errorf("%q: %v", names, err)
		}
	}
}

func TestCertificate(t *testing.T) {
	now := time.Now()
	c := open(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	names := []string{"LocalHost", "127.0.0.1", "::1", "::ffff:10.0.0.1", "my_bucket.s3.amazonaws.com", "127.0.0.1"}
	issued, err := c.Certificate(names...)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "[::1]", "10.0.0.1", "my_bucket.s3.amazonaws.com"} {
		_, err := issued.Leaf.Verify(x509.VerifyOptions{Roots: c.Pool(), DNSName: name, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := issued.Leaf.VerifyHostname("example.com"); err == nil {
		t.Error("it is good for another name")
	}
	if issued.Leaf.IsCA || issued.Leaf.NotAfter.Sub(now) > leafLife || !issued.Leaf.NotBefore.Before(now) {
		t.Errorf("the leaf is %+v", issued.Leaf)
	}
	slices.Reverse(names)
	if again, err := c.Certificate(names...); err != nil || again != issued {
		t.Errorf("the same names in another order are issued again: %v", err)
	}
	now = now.Add(leafRenewal + time.Second)
	renewed, err := c.Certificate(names...)
	if err != nil || renewed == issued || renewed.Leaf.SerialNumber.Cmp(issued.Leaf.SerialNumber) == 0 {
		t.Errorf("not renewed: %v", err)
	}
	now = now.Add(-48 * time.Hour)
	if back, err := c.Certificate(names...); err != nil || back == renewed {
		t.Errorf("a certificate of the future is shown: %v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := open(t, t.TempDir())
	used, err := c.Certificate("used.example")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * generation {
		if _, err := c.Certificate(fmt.Sprintf("n%d.example", i)); err != nil {
			t.Fatal(err)
		}
		if again, err := c.Certificate("used.example"); err != nil || again != used {
			t.Fatalf("what is used was dropped after %d others: %v", i, err)
		}
	}
	if n := len(c.young) + len(c.older); n > 2*generation {
		t.Errorf("the cache holds %d certificates", n)
	}
}

// handshake connects a client to a server through a pipe or the loopback.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var group sync.WaitGroup
	group.Go(func() {
		connection, err := l.Accept()
		if err != nil {
			return
		}
		defer connection.Close()
		if tls.Server(connection, server).HandshakeContext(t.Context()) == nil {
			_, _ = io.Copy(io.Discard, connection)
		}
	})
	defer group.Wait()
	connection, err := (&tls.Dialer{Config: client}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState(), nil
}

func TestTLSConfig(t *testing.T) {
	c := open(t, t.TempDir())
	server := c.TLSConfig(func(name string) bool { return name == "lambda.us-east-1.amazonaws.com" })
	for name, want := range map[string]string{
		"evil.example":                     "unrecognized name",
		"lambda.us-east-1.amazonaws.com.x": "unrecognized name",
	} {
		if _, err := handshake(t, server, &tls.Config{RootCAs: c.Pool(), ServerName: name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := handshake(t, server, &tls.Config{RootCAs: open(t, t.TempDir()).Pool(), ServerName: "lambda.us-east-1.amazonaws.com"}); err == nil {
		t.Error("another installation's authority is enough")
	}
	old := &tls.Config{RootCAs: c.Pool(), ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	if _, err := handshake(t, server, old); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, name := range []string{"lambda.us-east-1.amazonaws.com", "127.0.0.1", "::1"} {
			for _, protocol := range []string{"h2", "http/1.1"} {
				state, err := handshake(t, server, &tls.Config{RootCAs: c.Pool(), ServerName: name, NextProtos: []string{protocol},
					MinVersion: version, MaxVersion: version})
				if err != nil || state.NegotiatedProtocol != protocol {
					t.Errorf("%s, %x: %s %v", name, version, state.NegotiatedProtocol, err)
				}
			}
		}
	}
}

func TestKeyIsNotShown(t *testing.T) {
	c := open(t, t.TempDir())
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "authority", c)
	block, _ := pem.Decode(read(t, filepath.Join(filepath.Dir(c.Path()), keyFile)))
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s", c, c, c, c), log.String()} {
		if strings.Contains(shown, string(block.Bytes)) || len(shown) > 400 {
			t.Errorf("shown: %s", shown)
		}
	}
}

func FuzzCertificateName(f *testing.F) {
	c := open(f, f.TempDir())
	for _, name := range []string{"localhost", "::1", "127.0.0.1", "a..b", "*.x", "xn--bcher-kva.example", "fe80::1%lo"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		issued, err := c.Certificate(name)
		if (err == nil) != (issued != nil) {
			t.Fatalf("%q: %v %v", name, issued, err)
		}
		if err != nil && !errors.Is(err, ErrName) {
			t.Fatalf("%q: %v", name, err)
		}
	})
}
