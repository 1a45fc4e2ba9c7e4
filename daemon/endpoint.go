package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"hotaru/credential"
	"hotaru/internal/wholefile"
	"hotaru/pki"
)

// Endpoint is what a client needs to know of a Hotaru.
type Endpoint struct {
	URL        string                `json:"url"`
	Region     string                `json:"region"`
	Credential credential.Credential `json:"-"`
	// CAFile is the certificate of the installation's authority.
	CAFile string `json:"-"`
}

const endpointFile = "endpoint.json"

// ReadEndpoint finds out how to reach the Hotaru that serves, or served last, from a data directory.
func ReadEndpoint(dir string) (Endpoint, error) {
	text, err := os.ReadFile(filepath.Join(dir, endpointFile))
	if errors.Is(err, os.ErrNotExist) {
		return Endpoint{}, fmt.Errorf("no Hotaru has served from %s yet: start one with hotaru serve --data-dir %s", dir, dir)
	}
	if err != nil {
		return Endpoint{}, fmt.Errorf("daemon: %w", err)
	}
	var e Endpoint
	if err := json.Unmarshal(text, &e); err != nil {
		return Endpoint{}, fmt.Errorf("daemon: %s: %w", endpointFile, err)
	}
	if e.CAFile, err = filepath.Abs(filepath.Join(dir, pki.CertificateFile)); err != nil {
		return Endpoint{}, fmt.Errorf("daemon: %w", err)
	}
	e.Credential, err = credential.ReadRoot(dir)
	return e, err
}

// write keeps the endpoint where ReadEndpoint finds it: whole, or as it was.
func (e Endpoint) write(dir string) error {
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("daemon: %w", err)
	}
	if err := wholefile.Replace(filepath.Join(dir, endpointFile), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("daemon: %w", err)
	}
	return nil
}

// Variables are the environment variables that AWS tools read, NAME=value.
func (e Endpoint) Variables() []string { return e.variables(e.URL) }

// SecureVariables are Variables for HTTPS. AWS_CA_BUNDLE makes AWS tools trust this installation's authority, and it
// alone: while it is set, they cannot talk to AWS itself.
func (e Endpoint) SecureVariables() ([]string, error) {
	if _, err := os.Stat(e.CAFile); err != nil {
		return nil, fmt.Errorf("daemon: the installation has no certificate authority yet: %w", err)
	}
	return append(e.variables("https"+strings.TrimPrefix(e.URL, "http")), "AWS_CA_BUNDLE="+e.CAFile), nil
}

func (e Endpoint) variables(url string) []string {
	return []string{
		"AWS_ENDPOINT_URL=" + url,
		"AWS_ACCESS_KEY_ID=" + e.Credential.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + e.Credential.SecretAccessKey,
		"AWS_REGION=" + e.Region,
		"AWS_DEFAULT_REGION=" + e.Region,
	}
}
