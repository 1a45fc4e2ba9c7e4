package runtime_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/pki"
	"hotaru/runtime"
)

// everyWay makes a request in every way that Node.js has, and says how each ended.
const everyWay = `
const [anchor, url, how] = process.argv.slice(2);
if (how === 'without binding') process.binding = undefined;
if (how !== 'not at all') require(process.env.BOOTSTRAP + '/trust.js').trust(anchor);
const before = Object.keys(process.moduleLoadList.filter((m) => /NativeModule (tls|https|_tls)/.test(m))).length;
const https = require('https'), tls = require('tls'), http2 = require('http2');
const { hostname, port } = new URL(url);
const settle = (start) => new Promise((resolve) => start(resolve, (err) => resolve((err.cause || err).code)));
const get = (options) => settle((ok, no) => https.get(url, options, (r) => { r.resume(); ok(r.statusCode); }).on('error', no));
(async () => {
  const said = {
    https: await get({}),
    agent: await get({ agent: new https.Agent({ keepAlive: false, maxVersion: 'TLSv1.2' }) }),
    'another authority': await get({ ca: '' + require('tls').rootCertificates[0] }),
    'own authority': await get({ ca: require('fs').readFileSync(anchor) }),
    unchecked: await get({ rejectUnauthorized: false }),
    tls: await settle((ok, no) => { const s = tls.connect({ host: hostname, port, servername: hostname }, () => { s.destroy(); ok(s.authorized); }).on('error', no); }),
    http2: await settle((ok, no) => {
      const c = http2.connect(url).on('error', no);
      c.request({ ':path': '/' }).on('response', (h) => { c.destroy(); ok(h[':status']); }).on('error', no);
    }),
    fetch: await settle((ok, no) => (globalThis.fetch ? fetch(url).then((r) => ok(r.status), no) : ok(200))),
    'in a module': await import('data:text/javascript,import { createSecureContext, connect } from "tls";' +
      'export default (o) => new Promise((resolve) => { const s = connect({ ...o, secureContext: createSecureContext() }, () => { s.destroy(); resolve(s.authorized); })' +
      '.on("error", (err) => resolve(err.code)); });').then((m) => m.default({ host: hostname, port, servername: hostname })),
    early: how === 'without binding' ? 0 : before,
  };
  process.stdout.write(JSON.stringify(said), () => process.exit());
})();
`

// TestTrustNode makes Node.js trust an authority in each way that its TLS is used, beside those that it has.
func TestTrustNode(t *testing.T) {
	for _, id := range []string{"nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x"} {
		t.Run(id, func(t *testing.T) { trustNode(t, resolve(t, id)) })
	}
}

func trustNode(t *testing.T, r *runtime.Runtime) {
	dir := t.TempDir()
	authority, err := pki.Open(dir, pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.EnableHTTP2, server.TLS = true, authority.TLSConfig(func(name string) bool { return name == "localhost" })
	server.Config.ErrorLog = quiet()
	// httptest adds a certificate of its own, which is shown to those who ask for no name alone.
	server.StartTLS()
	defer server.Close()
	address := "https://localhost:" + portOf(t, server.URL)
	script := filepath.Join(dir, "script.js")
	write(t, script, everyWay)
	const unknown = "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
	all := func(ok, trusted any) map[string]any {
		return map[string]any{"https": ok, "agent": ok, "another authority": unknown, "own authority": 200.0, "unchecked": 200.0,
			"tls": trusted, "http2": ok, "fetch": ok, "in a module": trusted, "early": 0.0}
	}
	for how, want := range map[string]map[string]any{
		"not at all":           all(unknown, unknown),
		"as always":            all(200.0, true),
		"without binding":      all(200.0, true),
		"without deprecations": all(200.0, true),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, r.Interpreter.Path, script, authority.Path(), address, how)
		cmd.Env = []string{"BOOTSTRAP=" + bootstrapDir(t, r)}
		if how == "without deprecations" {
			cmd.Env = append(cmd.Env, "NODE_OPTIONS=--no-deprecation") // which makes process.noDeprecation read-only
		}
		if (how == "as always" || how == "without deprecations") && r.Version == "24" {
			cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+authority.Path()) // as in the program's own
		}
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		cancel()
		if err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		var got map[string]any
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s: %v: %s", how, err, out)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", how, diff)
		}
	}
}

// TestTrust looks at what a root has of the authority, and what programs are told of it.
func TestTrust(t *testing.T) {
	authority := []byte("-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n")
	lang := filepath.Join(t.TempDir(), "lang")
	fake(t, lang, "python3.11", "3.11.7")
	fake(t, lang, "node", "24.1.0")
	plain, trusting := only(t, lang), only(t, lang)
	trusting.CA = authority
	roots := map[*runtime.Catalog]string{}
	for _, c := range []*runtime.Catalog{plain, trusting} {
		for id, want := range map[string][]string{
			"python3.11": {"SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"}, "nodejs24.x": {"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"},
			"provided.al2023": {"SSL_CERT_FILE"},
		} {
			r, err := c.Resolve(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			p := r.Program(runtime.Options{})
			roots[c] = p.Root.Dir
			var got []string
			for _, entry := range p.Env {
				if name, value, _ := strings.Cut(entry, "="); strings.Contains(name, "CERT") || strings.Contains(name, "BUNDLE") {
					got = append(got, name)
					if text, err := os.ReadFile(filepath.Join(p.Root.Dir, value)); err != nil || !bytes.HasSuffix(text, authority) {
						t.Errorf("%s: %s has not the authority: %v", id, entry, err)
					}
				}
			}
			if c == plain {
				want = nil
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", id, diff)
			}
			for _, entry := range r.Program(runtime.Options{TaskRoot: "/srv"}).Env {
				if strings.Contains(entry, "CERT") || strings.Contains(entry, "BUNDLE") {
					t.Errorf("on the host: %s", entry)
				}
			}
		}
	}
	for c, root := range roots {
		text, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
		if err != nil || bytes.Contains(text, authority) != (c == trusting) {
			t.Errorf("the bundle of %d bytes: %v", len(text), err)
		}
		for _, place := range []string{"etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/cert.pem", "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"} {
			if target, err := os.Readlink(filepath.Join(root, place)); err != nil || target != "/etc/ssl/certs/ca-certificates.crt" {
				t.Errorf("%s leads to %q: %v", place, target, err)
			}
		}
	}
	if roots[plain] == roots[trusting] {
		t.Error("one root for those who trust and those who do not")
	}
}

// bootstrapDir is where a runtime's bootstrap is on the host.
func bootstrapDir(t *testing.T, r *runtime.Runtime) string {
	t.Helper()
	args := r.Program(runtime.Options{TaskRoot: "/", LayerRoot: "/"}).Args
	return filepath.Dir(args[len(args)-1])
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Port()
}

// quiet takes what a server says of clients that do not trust it.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
