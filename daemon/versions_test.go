package daemon

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"
)

// publishVersion sends PublishVersion as it stands.
func (h *harness) publishVersion(name string, members map[string]any) answer {
	h.t.Helper()
	return h.call(http.MethodPost, functions+"/"+name+"/versions", h.json(members), nil)
}

// ofRecord gives an answer with configurations the runtime that the record has.
func ofRecord(a answer, list string) answer {
	for _, c := range append(items(a[list]), a) {
		if c["Runtime"] != nil {
			c["Runtime"] = "python3.12"
		}
	}
	return a
}

// asRecorded is what the records of versions were made with.
func (h *harness) asRecorded(name, description string) map[string]any {
	return map[string]any{"FunctionName": name, "Handler": "index.handler", "Description": description,
		"Code": map[string]any{"ZipFile": h.zip("index.py", "def handler(event, context):\n    return context.function_version\n")}}
}

func TestVersionRefusals(t *testing.T) {
	h := start(t)
	const found = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:"
	_, err := h.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("nope")})
	refused(t, err, "ResourceNotFoundException", found+"nope")
	_, err = h.lambda.ListVersionsByFunction(t.Context(), &lambda.ListVersionsByFunctionInput{FunctionName: aws.String("nope")})
	refused(t, err, "ResourceNotFoundException", found+"nope")
	h.createPython("f", "def handler(event, context): pass\n")
	_, err = h.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{
		FunctionName: aws.String("f"), CodeSha256: aws.String("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")})
	refused(t, err, "InvalidParameterValueException", "CodeSHA256 (AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=) is different from "+
		"current CodeSHA256 in $LATEST (")
	_, err = h.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{
		FunctionName: aws.String("f"), PublishTo: types.FunctionVersionLatestPublishedLatestPublished})
	refused(t, err, "NotImplementedException", "PublishTo")
	for _, qualifier := range []string{"1", "01", "alias"} {
		_, err = h.lambda.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("f"), Qualifier: &qualifier})
		refused(t, err, "ResourceNotFoundException", found+"f:"+qualifier)
		_, err = h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Qualifier: &qualifier})
		refused(t, err, "ResourceNotFoundException", found+"f:"+qualifier)
	}
	_, err = h.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("f:1")})
	refused(t, err, "ResourceNotFoundException", found+"f:1")
	_, err = h.lambda.ListVersionsByFunction(t.Context(), &lambda.ListVersionsByFunctionInput{
		FunctionName: aws.String("f"), Marker: aws.String("YWZ0ZXI6bmFtZQ")})
	refused(t, err, "InvalidParameterValueException", "Invalid marker")
}

func TestRecordedVersions(t *testing.T) {
	h := start(t)
	s := record(t, "lambda_api", "TestLambdaVersions::test_version_lifecycle")
	get := func(qualifier string) answer {
		got := h.call(http.MethodGet, functions+"/f"+qualifier, nil, nil)
		got["Configuration"] = map[string]any(ofRecord(got["Configuration"].(map[string]any), ""))
		return got
	}
	describe := func(description string) answer {
		got := h.call(http.MethodPut, functions+"/f/configuration", h.json(map[string]any{"Description": description}), nil)
		h.waitUpdated("f")
		return got
	}
	list := func() answer { return ofRecord(h.call(http.MethodGet, functions+"/f/versions", nil, nil), "Versions") }
	same(t, s, "create_response", h.createRaw(h.asRecorded("f", "No version :(")), itsRuntime)
	h.waitActive("f")
	same(t, s, "get_function_result", get(""))
	same(t, s, "list_versions_result", list())
	same(t, s, "first_update_response", describe("First version :)"), itsRuntime)
	same(t, s, "first_update_get_function", get(""))
	first := h.publishVersion("f", map[string]any{"Description": "First version description :)"})
	same(t, s, "first_publish_response", first, itsRuntime)
	same(t, s, "first_publish_get_function", get("?Qualifier=1"))
	same(t, s, "first_publish_get_function_config", h.call(http.MethodGet, functions+"/f/configuration?Qualifier=1", nil, nil), itsRuntime)
	same(t, s, "second_update_response", describe("Second version :))"), itsRuntime)
	same(t, s, "first_publish_get_function_after_update", get("?Qualifier=1"))
	second := h.publishVersion("f", nil)
	same(t, s, "second_publish_response", second, itsRuntime)
	third := h.publishVersion("f", nil)
	same(t, s, "third_publish_response", third, itsRuntime)
	if second["RevisionId"] != third["RevisionId"] || first["RevisionId"] == second["RevisionId"] {
		t.Errorf("revisions of versions: %v, %v, %v", first["RevisionId"], second["RevisionId"], third["RevisionId"])
	}
	same(t, s, "list_versions_result_after_third_publish", list())
	h.call(http.MethodDelete, functions+"/f?Qualifier=1", nil, nil)
	same(t, s, "list_versions_result_after_deletion_of_first_version", list())

	s = record(t, "lambda_api", "TestLambdaVersions::test_publish_with_wrong_revisionid")
	same(t, s, "publish_wrong_revisionid_exc", h.publishVersion("f", map[string]any{"RevisionId": "00000000-0000-0000-0000-000000000000"}))
	s = record(t, "lambda_api", "TestLambdaVersions::test_publish_with_update")
	h.createRaw(h.asRecorded("g", ""))
	h.waitActive("g")
	changed := map[string]any{"ZipFile": h.zip("index.py", "def handler(event, context): pass\n"), "Publish": true}
	same(t, s, "update_function_code_result", h.call(http.MethodPut, functions+"/g/code", h.json(changed), nil), itsRuntime)
}

// TestVersionsServe: a published version serves what $LATEST was, under its own name.
func TestVersionsServe(t *testing.T) {
	h := start(t)
	const source = "def handler(event, context):\n    return [%d, context.function_version, context.invoked_function_arn, context.log_stream_name]\n"
	if h.python == "" {
		t.Skip("no Python that Lambda knows is installed")
	}
	h.create("f", h.python, "handler.handler", map[string]string{"handler.py": fmt.Sprintf(source, 1)},
		func(in *lambda.CreateFunctionInput) { in.Publish = true })
	h.waitActive("f:1")
	if _, err := h.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{
		FunctionName: aws.String("f"), ZipFile: h.zip("handler.py", fmt.Sprintf(source, 2)), Publish: true}); err != nil {
		t.Fatal(err)
	}
	h.waitActive("f:2")
	h.waitUpdated("f")
	if _, err := h.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{
		FunctionName: aws.String("f"), ZipFile: h.zip("handler.py", fmt.Sprintf(source, 3))}); err != nil {
		t.Fatal(err)
	}
	h.waitUpdated("f")
	says := func(name, number, version string) {
		t.Helper()
		for range 2 { // the second time warm
			out := h.invoke(name, "{}")
			want := fmt.Sprintf(`[%s, %q, "arn:aws:lambda:us-east-1:000000000000:function:%s", `, number, version, name)
			if got := string(out.Payload); !strings.HasPrefix(got, want) || *out.ExecutedVersion != version ||
				!strings.Contains(got, "["+version+"]") {
				t.Errorf("%s: %s by %s, want %s", name, got, *out.ExecutedVersion, want)
			}
		}
	}
	says("f", "3", "$LATEST")
	says("f:$LATEST", "3", "$LATEST")
	says("f:1", "1", "1")
	says("f:2", "2", "2")

	if _, err := h.lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{
		FunctionName: aws.String("f"), Qualifier: aws.String("1")}); err != nil {
		t.Fatal(err)
	}
	_, err := h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f:1")})
	refused(t, err, "ResourceNotFoundException", "function:f:1")
	says("f:2", "2", "2")
	// A number is never given again.
	out, err := h.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("f")})
	if err != nil || *out.Version != "3" {
		t.Errorf("published %v, %v; want version 3", out, err)
	}
	if _, err := h.lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("f")}); err != nil {
		t.Fatal(err)
	}
	for v := range h.functions.Versions() {
		t.Errorf("version %s of a deleted function is left", v.ARN())
	}
}

// TestPublishTogether: those who publish at once publish one version, because nothing changes between them.
func TestPublishTogether(t *testing.T) {
	h := start(t)
	h.createPython("f", "def handler(event, context): pass\n")
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			out, err := h.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("f")})
			if err != nil || *out.Version != "1" {
				t.Errorf("published %v, %v; want version 1", out, err)
			}
		})
	}
	callers.Wait()
	// The same code again is no change, another variable is one.
	if _, err := h.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{
		FunctionName: aws.String("f"), ZipFile: h.zip("handler.py", "def handler(event, context): pass\n")}); err != nil {
		t.Fatal(err)
	}
	h.waitUpdated("f")
	for _, want := range []string{"1", "2"} {
		out, err := h.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("f")})
		if err != nil || *out.Version != want {
			t.Errorf("published %v, %v; want version %s", out, err, want)
		}
		if _, err := h.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
			FunctionName: aws.String("f"), Environment: variables(map[string]string{"COLOUR": "red"})}); err != nil {
			t.Fatal(err)
		}
		h.waitUpdated("f")
	}
}

// TestBrokenVersion: a version whose creation fails is Failed, and the next one is not.
func TestBrokenVersion(t *testing.T) {
	h := start(t)
	if got := h.createRaw(map[string]any{"FunctionName": "f", "Runtime": missingRuntime(h), "Publish": true}); got["Version"] != "1" || got["State"] != "Pending" {
		t.Errorf("create: %v", got)
	}
	await := func() answer {
		for {
			got := h.call(http.MethodGet, functions+"/f/configuration?Qualifier=1", nil, nil)
			if got["State"] != "Pending" {
				return got
			}
		}
	}
	if got := await(); got["State"] != "Failed" || got["StateReasonCode"] != "InvalidRuntime" {
		t.Errorf("version 1: %v", got)
	}
	_, err := h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f:1")})
	refused(t, err, "ResourceConflictException", "in the following state: Failed")
	_, err = h.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("f")})
	refused(t, err, "ResourceConflictException", "in the following state: Failed")
	if _, err := h.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("f"), Runtime: types.Runtime(h.python)}); err != nil {
		t.Fatal(err)
	}
	h.waitUpdated("f")
	if got := h.publishVersion("f", nil); got["Version"] != "2" || got["State"] != "Active" {
		t.Errorf("after a mend: %v", got)
	}
	if got := await(); got["State"] != "Failed" {
		t.Errorf("version 1 after a mend: %v", got)
	}
}

// missingRuntime is one of Python's that this machine does not have.
func missingRuntime(h *harness) string {
	h.t.Helper()
	for _, s := range h.runtimes.List(h.t.Context()) {
		if s.Err != nil && strings.HasPrefix(s.ID, "python3.1") {
			return s.ID
		}
	}
	h.t.Skip("every Python is installed")
	return ""
}

func TestListVersionsInPages(t *testing.T) {
	h := start(t)
	for _, name := range []string{"a", "b"} {
		h.createPython(name, "def handler(event, context): pass\n")
	}
	for i := range 11 {
		h.call(http.MethodPut, functions+"/a/configuration", h.json(map[string]any{"Description": fmt.Sprint(i)}), nil)
		h.waitUpdated("a")
		if got := h.publishVersion("a", nil); got["Version"] != fmt.Sprint(i+1) {
			t.Fatal(got)
		}
	}
	all := func(path, list string) (pages []string) {
		marker := ""
		for {
			got := h.call(http.MethodGet, path+marker, nil, nil)
			var page []string
			for _, c := range items(got[list]) {
				page = append(page, strings.TrimPrefix(c["FunctionArn"].(string), functionARN("")))
			}
			pages = append(pages, strings.Join(page, " "))
			next, more := got["NextMarker"].(string)
			if !more || len(pages) > 20 {
				return pages
			}
			marker = "&Marker=" + url.QueryEscape(next)
		}
	}
	for path, want := range map[string][]string{
		"/a/versions?MaxItems=5":  {"a:$LATEST a:1 a:2 a:3 a:4", "a:5 a:6 a:7 a:8 a:9", "a:10 a:11"},
		"/a/versions?MaxItems=12": {"a:$LATEST a:1 a:2 a:3 a:4 a:5 a:6 a:7 a:8 a:9 a:10 a:11"},
		"/b/versions?MaxItems=1":  {"b:$LATEST"},
	} {
		if diff := cmp.Diff(want, all(functions+path, "Versions")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	for path, want := range map[string][]string{
		"?FunctionVersion=ALL&MaxItems=7":  {"a:$LATEST a:1 a:2 a:3 a:4 a:5 a:6", "a:7 a:8 a:9 a:10 a:11 b:$LATEST"},
		"?FunctionVersion=ALL&MaxItems=12": {"a:$LATEST a:1 a:2 a:3 a:4 a:5 a:6 a:7 a:8 a:9 a:10 a:11", "b:$LATEST"},
		"?MaxItems=1":                      {"a", "b"},
	} {
		if diff := cmp.Diff(want, all(functions+path, "Functions")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}
