package daemon

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/go-cmp/cmp"
)

// TestOldSDKs: SDKs that know nothing of AWS_ENDPOINT_URL, in a deployment package, meet this Hotaru and nobody else.
func TestOldSDKs(t *testing.T) {
	for _, tc := range []struct {
		name, handler, file, version string
		runtimes                     []string // any will do
		endpoints                    []any
		install                      []string
		pins                         []string
		wanted                       func(path string) bool
	}{
		{
			name: "boto3", runtimes: []string{"python3.11", "python3.10", "python3.9", "python3.8"}, handler: "old.handler", file: "old.py", version: "1.17.112",
			endpoints: []any{"https://sts.amazonaws.com", "https://lambda.eu-west-1.amazonaws.com"},
			install:   []string{"python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile", "--target", ".", "-r", "requirements.txt"},
			pins:      []string{"testdata/names/requirements.txt"},
			wanted: func(path string) bool {
				_, data, isData := strings.Cut(path, "botocore/data/")
				return strings.HasSuffix(path, ".py") && !isData || isData && partOf(data, "sts/", "lambda/", "endpoints.json", "_retry.json") ||
					strings.HasSuffix(path, ".json") && !isData
			},
		},
		{
			name: "aws-sdk", runtimes: []string{"nodejs24.x", "nodejs22.x", "nodejs20.x", "nodejs18.x"}, handler: "old.handler", file: "old.js", version: "2.1693.0",
			endpoints: []any{"https://sts.amazonaws.com/", "https://lambda.eu-west-1.amazonaws.com/"},
			install:   []string{"npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"},
			pins:      []string{"../e2e/clients/js-v2/package.json", "../e2e/clients/js-v2/package-lock.json"},
			wanted: func(path string) bool {
				_, data, isData := strings.Cut(path, "aws-sdk/apis/")
				return (strings.HasSuffix(path, ".js") || strings.HasSuffix(path, ".json")) && !strings.HasSuffix(path, ".bc.js") && !strings.Contains(path, "aws-sdk/dist") &&
					(!isData || partOf(data, "sts-", "lambda-", "metadata.json"))
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := start(t)
			runtimeID := h.installed(tc.runtimes...)
			files := filesBelow(t, pinned(t, tc.name, tc.install, tc.pins), tc.wanted)
			files[tc.file] = source(t, tc.file)
			larger := func(in *lambda.CreateFunctionInput) {
				in.MemorySize, in.Timeout = aws.Int32(1769), aws.Int32(30)
			}
			h.create(tc.name+"-zygote", runtimeID, tc.handler, files, larger)
			h.create(tc.name+"-cold", runtimeID, tc.handler, files, larger, atStart)
			for _, path := range []string{"zygote", "cold"} {
				want := map[string]any{
					"arn": "arn:aws:sts::000000000000:assumed-role/fn/" + tc.name + "-" + path, "denied": "AccessDeniedException",
					"version": tc.version, "endpoints": tc.endpoints,
				}
				if diff := cmp.Diff(want, h.saidBy(tc.name+"-"+path, "{}", path == "zygote")); diff != "" {
					t.Errorf("%s: %s", path, diff)
				}
			}
		})
	}
}

// installed is the first of the runtimes that is installed; the test is skipped if none is.
func (h *harness) installed(ids ...string) string {
	h.t.Helper()
	for _, id := range ids {
		if _, err := h.runtimes.Resolve(h.t.Context(), id); err == nil {
			return id
		}
	}
	h.t.Skipf("none of %v is installed", ids)
	return ""
}

// partOf says whether a path begins with one of the prefixes.
func partOf(path string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}
