package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"hotaru/awsapi/sigv4"
	"hotaru/credential"
	"hotaru/store"
)

// Packages reads deployment packages by their digest.
type Packages interface {
	Open(ctx context.Context, digest string) (io.ReadCloser, error)
}

// downloadPrefix starts the paths of deployment packages, which look like the snapshots that AWS keeps in S3.
const downloadPrefix = "/snapshots/"

// locationLife is how long a Code.Location can be used, as on AWS.
const locationLife = 10 * time.Minute

// downloadService is what the URLs are signed for.
const downloadService = "s3"

// Location presigns the URL of a function's deployment package
// (https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html).
func Location(baseURL, account, region, name, digest string, signer credential.Credential, now time.Time) (string, error) {
	target, err := url.Parse(baseURL + downloadPrefix + account + "/" + name + "-" + digest)
	if err != nil {
		return "", err
	}
	signed, err := sigv4.Presigning{
		AccessKeyID: signer.AccessKeyID, Secret: []byte(signer.SecretAccessKey), Region: region,
		Service: downloadService, Expires: locationLife, At: now,
	}.Presign(http.MethodGet, target)
	if err != nil {
		return "", err
	}
	return signed.String(), nil
}

// isDownload tells a package's URL from a request to a service, none of which has such a path with a signature
// in its query.
func isDownload(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, downloadPrefix) && r.URL.Query().Has("X-Amz-Signature")
}

// download sends a deployment package to whoever has a URL of Location's.
func (g *Gateway) download(w http.ResponseWriter, r *http.Request) {
	empty := func() ([sha256.Size]byte, error) { return sha256.Sum256(nil), nil }
	who, err := g.verifier.Verify(r, sigv4.Expect{Service: downloadService}, empty)
	if err != nil || r.Method != http.MethodGet || who.Identity.AccessKeyID != g.options.Authority.Root.AccessKeyID {
		http.Error(w, "AccessDenied", http.StatusForbidden)
		return
	}
	digest := r.URL.Path[strings.LastIndexByte(r.URL.Path, '-')+1:]
	body, err := g.options.Packages.Open(r.Context(), digest)
	if errors.Is(err, store.ErrNotFound) {
		http.Error(w, "NoSuchKey", http.StatusNotFound)
		return
	}
	if err != nil {
		g.options.Logger.Error("a deployment package cannot be read", "digest", digest, "error", err)
		http.Error(w, "InternalError", http.StatusInternalServerError)
		return
	}
	defer body.Close()
	w.Header().Set("Content-Type", "application/zip")
	if _, err := io.Copy(w, body); err != nil {
		g.options.Logger.Warn("a download broke off", "digest", digest, "error", err)
		panic(http.ErrAbortHandler) // the client must not take half a package for a whole one
	}
}
