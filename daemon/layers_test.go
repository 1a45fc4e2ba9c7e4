package daemon

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"
)

const layers = "/2018-10-31/layers"

// layerZip makes a layer of text files, all of them executable.
func (h *harness) layerZip(files map[string]string) []byte {
	h.t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range files {
		header := &zip.FileHeader{Name: name}
		header.SetMode(0o755)
		f, err := w.CreateHeader(header)
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		h.t.Fatal(err)
	}
	return b.Bytes()
}

// publishRaw sends PublishLayerVersion as it stands.
func (h *harness) publishRaw(name string, members map[string]any) answer {
	h.t.Helper()
	in := map[string]any{"Content": map[string]any{"ZipFile": h.layerZip(map[string]string{"f": "x"})}}
	maps.Copy(in, members)
	return h.call(http.MethodPost, layers+"/"+url.PathEscape(name)+"/versions", h.json(in), nil)
}

// publish makes a layer version of files and returns its ARN.
func (h *harness) publish(name string, files map[string]string) string {
	h.t.Helper()
	out, err := h.lambda.PublishLayerVersion(h.t.Context(), &lambda.PublishLayerVersionInput{
		LayerName: &name, Content: &types.LayerVersionContentInput{ZipFile: h.layerZip(files)}})
	if err != nil {
		h.t.Fatal(err)
	}
	return *out.LayerVersionArn
}

func layerARN(name string) string { return "arn:aws:lambda:us-east-1:000000000000:layer:" + name }

func TestRecordedLayerRefusals(t *testing.T) {
	h := start(t)
	s := record(t, "lambda_api", "TestLambdaLayer::test_layer_exceptions")
	same(t, s, "list_layers_exc_compatibleruntime_invalid", h.call(http.MethodGet, layers+"?CompatibleRuntime=runtimedoesnotexist", nil, nil))
	same(t, s, "list_layers_exc_compatiblearchitecture_invalid", h.call(http.MethodGet, layers+"?CompatibleArchitecture=archdoesnotexist", nil, nil))
	same(t, s, "list_nonexistent_layer", h.call(http.MethodGet, layers+"/nope/versions", nil, nil))
	same(t, s, "get_layer_version_exc_layer_doesnotexist", h.call(http.MethodGet, layers+"/nope/versions/1", nil, nil))
	for answer, members := range map[string]map[string]any{
		"publish_layer_version_exc_invalid_runtime_arch": {
			"CompatibleRuntimes": []string{"invalidruntime"}, "CompatibleArchitectures": []string{"invalidarch"}},
		"publish_layer_version_exc_partially_invalid_values": {
			"CompatibleRuntimes":      []string{"invalidruntime", "invalidruntime2", "nodejs20.x"},
			"CompatibleArchitectures": []string{"invalidarch", "x86_64"}},
	} {
		same(t, s, answer, h.publishRaw("l", members))
	}
	same(t, s, "publish_result", h.publishRaw("l", map[string]any{
		"CompatibleRuntimes": []string{"python3.12"}, "CompatibleArchitectures": []string{"x86_64"}}))
	same(t, s, "publish_empty_result", h.publishRaw("empty", nil))
	same(t, s, "get_layer_version_exc_layer_version_doesnotexist_negative", h.call(http.MethodGet, layers+"/l/versions/-1", nil, nil))
	same(t, s, "get_layer_version_exc_layer_version_doesnotexist_zero", h.call(http.MethodGet, layers+"/l/versions/0", nil, nil))
	same(t, s, "get_layer_version_exc_layer_version_doesnotexist_2", h.call(http.MethodGet, layers+"/l/versions/2", nil, nil))
	find := layers + "?find=LayerVersion&Arn="
	same(t, s, "get_layer_version_by_arn_exc_invalidarn", h.call(http.MethodGet, find+url.QueryEscape(layerARN("l")), nil, nil))
	same(t, s, "get_layer_version_by_arn_exc_nonexistentversion", h.call(http.MethodGet, find+url.QueryEscape(layerARN("l:2")), nil, nil))
	same(t, s, "delete_nonexistent_response", h.call(http.MethodDelete, layers+"/nope/versions/1", nil, nil))
	same(t, s, "delete_nonexistent_version_response", h.call(http.MethodDelete, layers+"/l/versions/2", nil, nil))
	same(t, s, "delete_layer_version_exc_layerversion_invalid_version", h.call(http.MethodDelete, layers+"/l/versions/0", nil, nil))
	same(t, s, "delete_layer_response", h.call(http.MethodDelete, layers+"/l/versions/1", nil, nil))
	same(t, s, "delete_layer_again_response", h.call(http.MethodDelete, layers+"/l/versions/1", nil, nil))
}

func TestLayerRefusals(t *testing.T) {
	h := start(t)
	foreign := "arn:aws:lambda:us-east-1:111122223333:layer:l"
	for _, tc := range []struct {
		name, code, text string
		ask              func() error
	}{
		{"from S3", "NotImplementedException", "Content from S3 is not built yet", func() error {
			_, err := h.lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
				LayerName: aws.String("l"), Content: &types.LayerVersionContentInput{S3Bucket: aws.String("bucket"), S3Key: aws.String("k")}})
			return err
		}},
		{"nothing", "InvalidParameterValueException", "Please provide a source", func() error {
			_, err := h.lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
				LayerName: aws.String("l"), Content: &types.LayerVersionContentInput{}})
			return err
		}},
		{"no zip", "InvalidParameterValueException", "Could not unzip uploaded file.", func() error {
			_, err := h.lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
				LayerName: aws.String("l"), Content: &types.LayerVersionContentInput{ZipFile: []byte("no zip")}})
			return err
		}},
		{"another account's", "AccessDeniedException", "is not authorized to perform: lambda:PublishLayerVersion on resource: " + foreign, func() error {
			_, err := h.lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
				LayerName: &foreign, Content: &types.LayerVersionContentInput{ZipFile: h.layerZip(map[string]string{"f": "x"})}})
			return err
		}},
		{"get another account's", "AccessDeniedException", "because no resource-based policy allows the lambda:GetLayerVersion action", func() error {
			_, err := h.lambda.GetLayerVersionByArn(t.Context(), &lambda.GetLayerVersionByArnInput{Arn: aws.String(foreign + ":1")})
			return err
		}},
		{"a marker that is none", "InvalidParameterValueException", "Invalid marker", func() error {
			_, err := h.lambda.ListLayers(t.Context(), &lambda.ListLayersInput{Marker: aws.String("x")})
			return err
		}},
		{"a marker of another list", "InvalidParameterValueException", "Invalid marker", func() error {
			_, err := h.lambda.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{
				LayerName: aws.String("l"), Marker: aws.String("YWZ0ZXI6bmFtZQ")})
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, tc.ask(), tc.code, tc.text) })
	}
	out, err := h.lambda.ListLayers(t.Context(), &lambda.ListLayersInput{})
	if err != nil || len(out.Layers) != 0 {
		t.Errorf("refusals left layers: %v %v", out, err)
	}
}

func TestRecordedLayersOfFunctions(t *testing.T) {
	h := start(t)
	s := record(t, "lambda_api", "TestLambdaLayer::test_layer_function_exceptions")
	arn := layerARN("l")
	for _, answer := range []string{"publish_result", "publish_result_2", "publish_result_3"} {
		same(t, s, answer, h.publishRaw("l", map[string]any{"CompatibleArchitectures": []string{"x86_64"}, "Description": ""}))
	}
	h.createPython("f", "def handler(event, context): pass\n")
	for answer, used := range map[string][]string{
		"two_layer_versions_single_function_exc":           {arn + ":1", arn + ":2"},
		"three_layer_versions_single_function_exc":         {arn + ":1", arn + ":2", arn + ":3"},
		"two_identical_layer_versions_single_function_exc": {arn + ":1", arn + ":1"},
		"add_nonexistent_layer_exc":                        {layerARN("doesnotexist:1")},
		"add_nonexistent_layer_version_exc":                {arn + ":9"},
		"add_layer_arn_without_version_exc":                {arn},
	} {
		same(t, s, answer, h.call(http.MethodPut, functions+"/f/configuration", h.json(map[string]any{"Layers": used}), nil))
	}
	same(t, s, "create_function_with_layer_in_different_region", h.createRaw(map[string]any{
		"FunctionName": "g", "Layers": []string{strings.Replace(arn, "us-east-1", "eu-west-1", 1) + ":1"}}))
	s = record(t, "lambda_api", "TestLambdaLayer::test_layer_function_quota_exception")
	six := make([]string, 6)
	for i := range six {
		six[i] = layerARN(fmt.Sprintf("l%d:1", i))
	}
	same(t, s, "create_function_with_six_layers", h.createRaw(map[string]any{"FunctionName": "g", "Layers": six}))
	denied := h.createRaw(map[string]any{"FunctionName": "g", "Layers": []string{strings.Replace(arn, "000000000000", "111122223333", 1) + ":1"}})
	if e, _ := denied["Error"].(map[string]any); e["Code"] != "AccessDeniedException" {
		t.Errorf("another account's layer: %v", denied)
	}
	if out, err := h.lambda.ListFunctions(t.Context(), &lambda.ListFunctionsInput{}); err != nil || len(out.Functions) != 1 {
		t.Errorf("refusals left functions: %v %v", out, err)
	}
}

// TestLayersAreTooLarge: no zip file is too large, the contents of two are.
func TestLayersAreTooLarge(t *testing.T) {
	h := start(t)
	zeros := strings.Repeat("\x00", 90<<20)
	pack := func(name string) []byte { return h.zip(name, zeros) } // shrinks to little
	var used []string
	for _, name := range []string{"a", "b"} {
		out, err := h.lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
			LayerName: &name, Content: &types.LayerVersionContentInput{ZipFile: pack(name)}})
		if err != nil {
			t.Fatal(err)
		}
		used = append(used, *out.LayerVersionArn)
	}
	const text = "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is 283115520 bytes."
	large := map[string]any{"ZipFile": pack("handler.py")}
	want := answer{"Code": "InvalidParameterValueException", "Message": text}
	check := func(name string, got answer) {
		t.Helper()
		e, _ := got["Error"].(map[string]any)
		if diff := cmp.Diff(want, answer(e)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	check("create", h.createRaw(map[string]any{"FunctionName": "f", "Code": large, "Layers": used}))
	h.createPython("code", "def handler(event, context): pass\n", func(in *lambda.CreateFunctionInput) { in.Layers = used })
	check("update code", h.call(http.MethodPut, functions+"/code/code", h.json(large), nil))
	h.createRaw(map[string]any{"FunctionName": "layers", "Code": large})
	h.waitActive("layers")
	check("update layers", h.call(http.MethodPut, functions+"/layers/configuration", h.json(map[string]any{"Layers": used}), nil))
	if got := h.ok("code", "{}"); got != "null" {
		t.Errorf("after a refused update: %s", got)
	}
}

func TestRecordedLayerLife(t *testing.T) {
	h := start(t)
	s := record(t, "lambda_api", "TestLambdaLayer::test_layer_lifecycle")
	members := map[string]any{"CompatibleRuntimes": []string{"python3.12"}, "CompatibleArchitectures": []string{"x86_64"},
		"Description": "of a test", "LicenseInfo": "MIT"}
	configuration := func() answer {
		got := h.call(http.MethodGet, functions+"/f/configuration", nil, nil)
		got["Runtime"] = "python3.12"
		return got
	}
	h.createRaw(map[string]any{"FunctionName": "f", "Timeout": 30, "Environment": map[string]any{"Variables": map[string]any{}}})
	h.waitActive("f")
	same(t, s, "get_fn_result", h.getFunction("f"))
	same(t, s, "publish_result", h.publishRaw("l", members))
	same(t, s, "publish_result_2", h.publishRaw(layerARN("l"), members))
	updated := h.call(http.MethodPut, functions+"/f/configuration", h.json(map[string]any{"Layers": []string{layerARN("l:1")}}), nil)
	same(t, s, "update_fn_config", updated, itsRuntime)
	h.waitUpdated("f")
	same(t, s, "get_fn_config", configuration())
	got := h.call(http.MethodGet, layers+"/l/versions/1", nil, nil)
	same(t, s, "get_layer_ver_result", got)
	same(t, s, "get_layer_by_arn_version", h.call(http.MethodGet, layers+"?find=LayerVersion&Arn="+url.QueryEscape(layerARN("l:1")), nil, nil))
	h.wantDownload(got["Content"].(map[string]any)["Location"].(string), h.layerZip(map[string]string{"f": "x"}))
	same(t, s, "list_layer_versions_predelete", h.call(http.MethodGet, layers+"/l/versions", nil, nil))
	same(t, s, "delete_layer_1", h.call(http.MethodDelete, layers+"/l/versions/1", nil, nil))
	same(t, s, "get_fn_config_postdelete", configuration())
	same(t, s, "delete_layer_2", h.call(http.MethodDelete, layers+"/l/versions/2", nil, nil))
	same(t, s, "list_layer_versions_postdelete", h.call(http.MethodGet, layers+"/l/versions", nil, nil))
	same(t, s, "publish_result_3", h.publishRaw("l", members))

	for i := range 3 {
		s := record(t, "lambda_api", fmt.Sprintf("TestLambdaLayer::test_layer_compatibilities[runtimes%d]", i))
		want := s["publish_result"].(map[string]any)
		same(t, s, "publish_result", h.publishRaw(fmt.Sprint("for", i), map[string]any{
			"CompatibleRuntimes": want["CompatibleRuntimes"], "CompatibleArchitectures": want["CompatibleArchitectures"]}))
	}
	// Taking the layers away is an update, too.
	if got := h.call(http.MethodPut, functions+"/f/configuration", h.json(map[string]any{"Description": "x"}), nil); got["Layers"] == nil {
		t.Errorf("an update without layers: %v", got)
	}
	h.waitUpdated("f")
	if got := h.call(http.MethodPut, functions+"/f/configuration", h.json(map[string]any{"Layers": []string{}}), nil); got["Layers"] != nil || got["Error"] != nil {
		t.Errorf("an update to no layers: %v", got)
	}
}

// wantDownload wants bytes from a presigned URL.
func (h *harness) wantDownload(location string, want []byte) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, location, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	var got bytes.Buffer
	if _, err := got.ReadFrom(response.Body); err != nil || response.StatusCode != http.StatusOK || !bytes.Equal(got.Bytes(), want) {
		h.t.Errorf("download: status %d, %d bytes, error %v; want %d bytes", response.StatusCode, got.Len(), err, len(want))
	}
}

func TestRecordedLayerPolicies(t *testing.T) {
	h := start(t)
	s := record(t, "lambda_api", "TestLambdaLayer::test_layer_policy_exceptions")
	same(t, s, "publish_result", h.publishRaw("l", map[string]any{
		"CompatibleRuntimes": []string{"python3.12"}, "CompatibleArchitectures": []string{"x86_64"}}))
	policy := func(version string) string { return layers + "/" + version + "/policy" }
	add := func(version, sid, query string, change map[string]any) answer {
		in := map[string]any{"Action": "lambda:GetLayerVersion", "Principal": "*", "StatementId": sid}
		maps.Copy(in, change)
		return parsed(t, h.call(http.MethodPost, policy(version)+query, h.json(in), nil), "Statement")
	}
	get := func(version string) answer {
		return parsed(t, h.call(http.MethodGet, policy(version), nil, nil), "Policy")
	}
	remove := func(version, sid, query string) answer {
		return h.call(http.MethodDelete, policy(version)+"/"+sid+query, nil, nil)
	}
	const wrong = "?RevisionId=00000000-0000-0000-0000-000000000000"
	same(t, s, "layer_permission_nopolicy_get", get("l/versions/1"))
	same(t, s, "add_layer_permission_result", add("l/versions/1", "s1", "", nil))
	same(t, s, "layer_permission_action_invalid", add("l/versions/1", "s2", "", map[string]any{"Action": "*"}))
	same(t, s, "layer_permission_duplicate_statement", add("l/versions/1", "s1", "", nil))
	same(t, s, "layer_permission_wrong_revision", add("l/versions/1", "s2", wrong, nil))
	same(t, s, "layer_permission_layername_doesnotexist_add", add("l-doesnotexist/versions/1", "s1", "", nil))
	same(t, s, "layer_permission_layername_doesnotexist_get", get("l-doesnotexist/versions/1"))
	same(t, s, "layer_permission_layername_doesnotexist_remove", remove("l-doesnotexist/versions/1", "s1", ""))
	same(t, s, "layer_permission_layerversion_doesnotexist_add", add("l/versions/2", "s1", "", nil))
	same(t, s, "layer_permission_layerversion_doesnotexist_get", get("l/versions/2"))
	same(t, s, "layer_permission_layerversion_doesnotexist_remove", remove("l/versions/2", "s1", ""))
	same(t, s, "layer_permission_statementid_doesnotexist_remove", remove("l/versions/1", "doesnotexist", ""))
	same(t, s, "layer_permission_wrong_revision_remove", remove("l/versions/1", "s1", wrong))

	s = record(t, "lambda_api", "TestLambdaLayer::test_layer_policy_lifecycle")
	h.publishRaw("m", nil)
	same(t, s, "add_policy_s1", add("m/versions/1", "s1", "", nil))
	same(t, s, "get_layer_version_policy", get("m/versions/1"))
	first := get("m/versions/1")["RevisionId"].(string)
	same(t, s, "add_policy_s2", add("m/versions/1", "s2", "?RevisionId="+first, nil))
	same(t, s, "get_layer_version_policy_postadd2", get("m/versions/1"))
	same(t, s, "remove_s2", remove("m/versions/1", "s2", ""))
	same(t, s, "get_layer_version_policy_postdeletes2", get("m/versions/1"))
	remove("m/versions/1", "s1", "")
	same(t, record(t, "lambda_api", "TestLambdaLayer::test_layer_policy_exceptions"), "layer_permission_nopolicy_get", get("m/versions/1"))

	add("m/versions/1", "account", "", map[string]any{"Principal": "111122223333"})
	out, err := h.lambda.GetLayerVersionPolicy(t.Context(), &lambda.GetLayerVersionPolicyInput{
		LayerName: aws.String("m"), VersionNumber: aws.Int64(1)})
	const want = `{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"account","Effect":"Allow",` +
		`"Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"lambda:GetLayerVersion",` +
		`"Resource":"arn:aws:lambda:us-east-1:000000000000:layer:m:1"}]}`
	if err != nil || *out.Policy != want {
		t.Errorf("policy: %v %v", out, err)
	}
}

// parsed replaces a member that is JSON in a string by what it means, as the records have it.
func parsed(t *testing.T, a answer, member string) answer {
	t.Helper()
	text, ok := a[member].(string)
	if !ok {
		return a
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	a[member] = v
	return a
}

func TestListLayers(t *testing.T) {
	h := start(t)
	for _, l := range []struct {
		name     string
		runtimes []string
		arch     []string
	}{
		{"a", []string{"python3.12"}, []string{"x86_64"}}, {"a", []string{"nodejs22.x"}, nil}, {"b", nil, nil},
		{"c", []string{"python3.12"}, []string{"arm64"}}, {"gone", nil, nil}, {"a", []string{"python3.12"}, nil},
	} {
		if got := h.publishRaw(l.name, map[string]any{"CompatibleRuntimes": l.runtimes, "CompatibleArchitectures": l.arch}); got["Error"] != nil {
			t.Fatal(got)
		}
	}
	h.call(http.MethodDelete, layers+"/gone/versions/1", nil, nil)
	ask := func(query string) (said []string) {
		got := h.call(http.MethodGet, layers+query, nil, nil)
		for _, l := range append(items(got["Layers"]), items(got["LayerVersions"])...) {
			if newest, ok := l["LatestMatchingVersion"].(map[string]any); ok {
				l = newest
			}
			said = append(said, strings.TrimPrefix(l["LayerVersionArn"].(string), layerARN("")))
		}
		if marker, more := got["NextMarker"].(string); more {
			separator := "?"
			if strings.Contains(query, "?") {
				query, _, _ = strings.Cut(query, "&Marker")
				separator = "&"
			}
			next := h.call(http.MethodGet, layers+query+separator+"Marker="+url.QueryEscape(marker), nil, nil)
			said = append(said, fmt.Sprint("then ", len(append(items(next["Layers"]), items(next["LayerVersions"])...))))
		}
		return said
	}
	for query, want := range map[string][]string{
		"":                              {"a:3", "b:1", "c:1"},
		"?CompatibleRuntime=python3.12": {"a:3", "c:1"},
		"?CompatibleRuntime=nodejs22.x": {"a:2"},
		"?CompatibleArchitecture=arm64": {"c:1"},
		"?CompatibleRuntime=python3.12&CompatibleArchitecture=x86_64": {"a:1"},
		"?CompatibleRuntime=ruby3.4":                                  nil,
		"?MaxItems=2":                                                 {"a:3", "b:1", "then 1"},
		"?MaxItems=3":                                                 {"a:3", "b:1", "c:1"},
		"/a/versions":                                                 {"a:3", "a:2", "a:1"},
		"/a/versions?CompatibleRuntime=python3.12":                    {"a:3", "a:1"},
		"/a/versions?MaxItems=1":                                      {"a:3", "then 1"},
		"/a/versions?MaxItems=2":                                      {"a:3", "a:2", "then 1"},
	} {
		if diff := cmp.Diff(want, ask(query)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}
	got := h.call(http.MethodGet, layers+"?MaxItems=1", nil, nil)
	first := items(got["Layers"])[0]
	if first["LayerName"] != "a" || first["LayerArn"] != layerARN("a") {
		t.Errorf("a layer: %v", first)
	}
}

func items(list any) (all []map[string]any) {
	for _, item := range asList(list) {
		all = append(all, item.(map[string]any))
	}
	return all
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

// TestLayersTogether: those who publish or permit at once all do, and what they did survives a restart.
func TestLayersTogether(t *testing.T) {
	dir := t.TempDir()
	here := func(c *Config) { c.DataDir = dir }
	h := start(t, here)
	const callers = 8
	pack := h.layerZip(map[string]string{"f": "x"})
	h.publish("l", map[string]string{"f": "x"})
	numbers := make(chan int64, callers)
	var working sync.WaitGroup
	for i := range callers {
		working.Go(func() {
			out, err := h.lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
				LayerName: aws.String("l"), Content: &types.LayerVersionContentInput{ZipFile: pack}})
			if err != nil {
				t.Error(err)
				return
			}
			numbers <- out.Version
			_, err = h.lambda.AddLayerVersionPermission(t.Context(), &lambda.AddLayerVersionPermissionInput{
				LayerName: aws.String("l"), VersionNumber: aws.Int64(1), StatementId: aws.String(fmt.Sprint("s", i)),
				Action: aws.String("lambda:GetLayerVersion"), Principal: aws.String("*")})
			if err != nil {
				t.Error(err)
			}
		})
	}
	working.Wait()
	close(numbers)
	given := slices.Sorted(func(yield func(int64) bool) {
		for n := range numbers {
			if !yield(n) {
				return
			}
		}
	})
	if diff := cmp.Diff([]int64{2, 3, 4, 5, 6, 7, 8, 9}, given); diff != "" {
		t.Errorf("numbers: %s", diff)
	}
	h.call(http.MethodDelete, layers+"/l/versions/9", nil, nil)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h = start(t, here)
	got := parsed(t, h.call(http.MethodGet, layers+"/l/versions/1/policy", nil, nil), "Policy")
	if statements := items(got["Policy"].(map[string]any)["Statement"]); len(statements) != callers {
		t.Errorf("%d statements after a restart, want %d", len(statements), callers)
	}
	if n := len(items(h.call(http.MethodGet, layers+"/l/versions", nil, nil)["LayerVersions"])); n != callers {
		t.Errorf("%d versions after a restart, want %d", n, callers)
	}
	if arn := h.publish("l", map[string]string{"f": "x"}); arn != layerARN("l:10") {
		t.Errorf("the next version is %s", arn)
	}
}
