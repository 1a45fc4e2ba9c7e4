package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"hotaru/credential"
	"hotaru/pki"
)

// parse reads a command line as main does.
func parse(t *testing.T, args ...string) (*cli, error) {
	t.Helper()
	var c cli
	parser, err := kong.New(&c, kong.Name("hotaru"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return &c, err
}

func TestCommandLineRefuses(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"serve --tls-cert a", "come together"},
		{"serve --tls-key a", "come together"},
		{"serve --max-connections 0", "at least 1"},
		{"serve --max-body-memory 127", "at least 128"},
		{"serve --access-log=maybe", "bool"},
		{"serve --sandbox=docker", "must be one of"},
		{"serve --sandbox-allow=docker", "must be one of"},
		{"serve --account-sandbox=oci", "expected \"<key>=<value>\""},
		{"env --ca-file a", "goes with --https"},
	} {
		if _, err := parse(t, strings.Fields(c.args)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.args, err, c.want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	t.Setenv("HOTARU_CORS_ORIGIN", "https://a.example,https://b.example:1")
	c, err := parse(t, "serve", "--allowed-host", "a.example", "--allowed-host=*.b.example", "--tls-cert=/c", "--tls-key=/k")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Serve.AllowedHost, " "); got != "a.example *.b.example" {
		t.Errorf("hosts: %s", got)
	}
	if got := strings.Join(c.Serve.CORSOrigin, " "); got != "https://a.example https://b.example:1" {
		t.Errorf("origins: %s", got)
	}
	c, err = parse(t, "serve", "--sandbox-allow=oci,process", "--account-sandbox=111122223333=oci", "--account-sandbox", "444455556666=process", "--tls-cert=/c", "--tls-key=/k")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Serve.SandboxAllow, " "); got != "oci process" {
		t.Errorf("allowed: %s", got)
	}
	if got := c.Serve.AccountSandbox; len(got) != 2 || got["111122223333"] != "oci" || got["444455556666"] != "process" {
		t.Errorf("accounts: %v", got)
	}
	if c.Serve.TLSCert != "/c" || c.Serve.TLSKey != "/k" || c.Serve.MaxConnections != 4096 || c.Serve.MaxBodyMemory != 512 {
		t.Errorf("%+v", c.Serve)
	}
}

// served makes a data directory as a Hotaru leaves it.
func served(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := credential.OpenRoot(dir); err != nil {
		t.Fatal(err)
	}
	text := []byte(`{"url":"http://127.0.0.1:4566","region":"eu-west-1"}`)
	if err := os.WriteFile(filepath.Join(dir, "endpoint.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEnv(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's $(here) a dir")
	run := func(c envCommand) (string, error) {
		c.DataDir = dir
		var out bytes.Buffer
		err := c.print(&out)
		return out.String(), err
	}
	if _, err := run(envCommand{}); err == nil || !strings.Contains(err.Error(), "hotaru serve") {
		t.Errorf("nothing has served: %v", err)
	}
	served(t, dir)
	if _, err := run(envCommand{HTTPS: true}); err == nil || !strings.Contains(err.Error(), "no certificate authority yet") {
		t.Errorf("no authority: %v", err)
	}
	authority, err := pki.Open(dir, pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := run(envCommand{})
	if err != nil || !strings.Contains(plain, "export AWS_ENDPOINT_URL=http://127.0.0.1:4566\n") || strings.Contains(plain, "CA_BUNDLE") {
		t.Errorf("plain: %v\n%s", err, plain)
	}
	secure, err := run(envCommand{HTTPS: true})
	if err != nil {
		t.Fatal(err)
	}
	shell := exec.CommandContext(t.Context(), "/bin/sh", "-c", secure+`printf '%s|%s|%s' "$AWS_ENDPOINT_URL" "$AWS_REGION" "$AWS_CA_BUNDLE"`)
	got, err := shell.Output()
	if want := "https://127.0.0.1:4566|eu-west-1|" + filepath.Join(dir, "ca.pem"); err != nil || string(got) != want {
		t.Errorf("a shell reads %s %v, want %s", got, err, want)
	}
	target := filepath.Join(t.TempDir(), "ca.pem")
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Symlink(elsewhere, target); err != nil {
		t.Fatal(err)
	}
	copied, err := run(envCommand{HTTPS: true, CAFile: target})
	if err != nil || !strings.Contains(copied, "AWS_CA_BUNDLE="+target+"\n") {
		t.Errorf("copied: %v\n%s", err, copied)
	}
	text, err := os.ReadFile(target)
	info, statErr := os.Lstat(target)
	if err != nil || statErr != nil || !bytes.Equal(text, authority.PEM()) || info.Mode() != 0o644 {
		t.Errorf("the copy: %v %v %v", err, statErr, info.Mode())
	}
	if _, err := os.Lstat(elsewhere); err == nil {
		t.Error("a link was followed")
	}
}
