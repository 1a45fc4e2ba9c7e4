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

const (
	// downloadService is what the URLs are signed for.
	downloadService = "s3"
	// downloadOperation is what the access log says.
	downloadOperation = "DownloadPackage"
)

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
func (g *Gateway) download(w http.ResponseWriter, r *http.Request, started time.Time) {
	refuse := func(status int, code string) {
		http.Error(w, code, status)
		g.log(r, &line{operation: downloadOperation, code: code, status: status, sent: int64(len(code) + 1), started: started})
	}
	empty := func() ([sha256.Size]byte, error) { return sha256.Sum256(nil), nil }
	who, err := g.verifier.Verify(r, sigv4.Expect{Service: downloadService}, empty)
	if err != nil || r.Method != http.MethodGet || who.Identity.AccessKeyID != g.options.Authority.Root.AccessKeyID {
		refuse(http.StatusForbidden, "AccessDenied")
		return
	}
	digest := r.URL.Path[strings.LastIndexByte(r.URL.Path, '-')+1:]
	body, err := g.options.Packages.Open(r.Context(), digest)
	if errors.Is(err, store.ErrNotFound) {
		refuse(http.StatusNotFound, "NoSuchKey")
		return
	}
	if err != nil {
		g.options.Logger.Error("a deployment package cannot be read", "digest", digest, "error", err)
		refuse(http.StatusInternalServerError, "InternalError")
		return
	}
	defer body.Close()
	w.Header().Set("Content-Type", "application/zip")
	sent, err := io.Copy(w, body)
	if err != nil {
		g.options.Logger.Warn("a download broke off", "digest", digest, "error", err)
		panic(http.ErrAbortHandler) // the client must not take half a package for a whole one
	}
	g.log(r, &line{operation: downloadOperation, status: http.StatusOK, sent: sent, started: started})
}
