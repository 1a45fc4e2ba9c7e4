package pki

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookAgain is how often files are looked at, at most.
const lookAgain = time.Second

// Files is a certificate that somebody else issued, in files. It is safe for concurrent use.
type Files struct {
	certificatePath, keyPath string
	logger                   *slog.Logger
	now                      func() time.Time

	mu sync.Mutex
	// loaded, stamp (what the files looked like when they were read last) and looked (when that was compared) are
	// guarded by mu.
	loaded *tls.Certificate
	stamp  [2]fileStamp
	looked time.Time
}

// fileStamp tells one state of a file from another.
type fileStamp struct {
	modified time.Time
	size     int64
}

// OpenFiles reads a certificate, with those between it and its authority, and its key, both in PEM. They are read again
// when they change; what cannot be read then is logged, and the old certificate stays.
func OpenFiles(certificatePath, keyPath string, logger *slog.Logger) (*Files, error) {
	f := &Files{certificatePath: certificatePath, keyPath: keyPath, logger: logger, now: time.Now}
	f.stamp, f.looked = f.look(), f.now()
	if err := f.load(); err != nil {
		return nil, err
	}
	return f, nil
}

// look takes the files' stamps; that of a file that is not there is zero.
func (f *Files) look() (stamps [2]fileStamp) {
	for i, path := range []string{f.certificatePath, f.keyPath} {
		if info, err := os.Stat(path); err == nil {
			stamps[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

// load reads the files; they must belong together.
func (f *Files) load() error {
	loaded, err := tls.LoadX509KeyPair(f.certificatePath, f.keyPath)
	if err != nil {
		return fmt.Errorf("pki: certificate %s with key %s: %w", f.certificatePath, f.keyPath, err)
	}
	if f.now().After(loaded.Leaf.NotAfter) {
		f.logger.Warn("the certificate has expired", "file", f.certificatePath, "at", loaded.Leaf.NotAfter)
	}
	f.loaded = &loaded
	return nil
}

// certificate is the newest that could be read.
func (f *Files) certificate() *tls.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if now.Sub(f.looked) < lookAgain {
		return f.loaded
	}
	f.looked = now
	stamp := f.look()
	if stamp == f.stamp {
		return f.loaded
	}
	f.stamp = stamp
	if err := f.load(); err != nil {
		f.logger.Warn("a changed certificate cannot be used: the old one stays", "error", err)
	} else {
		f.logger.Info("the certificate was read again", "file", f.certificatePath, "until", f.loaded.Leaf.NotAfter)
	}
	return f.loaded
}

// Before serves this certificate for the names that it is good for, leaves the other names that config knows to
// config, and takes the rest itself, so that a client can say what is wrong. A client that asks for no name gets this
// one too, unless it is on this machine.
func (f *Files) Before(config *tls.Config) *tls.Config {
	next := config.GetCertificate
	both := config.Clone()
	both.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		own := f.certificate()
		name := hello.ServerName
		if name == "" {
			local := localAddress(hello.Conn)
			if !local.IsLoopback() {
				return own, nil
			}
			name = local.String()
		}
		if own.Leaf.VerifyHostname(name) == nil {
			return own, nil
		}
		if issued, err := next(hello); issued != nil || err != nil {
			return issued, err
		}
		return own, nil
	}
	return both
}
