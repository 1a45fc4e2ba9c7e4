package daemon

import (
	"fmt"
	"maps"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"hotaru/internal/recorded"
)

func (h *harness) createAlias(function string, members map[string]any) answer {
	h.t.Helper()
	return h.call(http.MethodPost, functions+"/"+function+"/aliases", h.json(members), nil)
}

func (h *harness) updateAlias(function, name string, members map[string]any) answer {
	h.t.Helper()
	return h.call(http.MethodPut, functions+"/"+function+"/aliases/"+name, h.json(members), nil)
}

func routing(version string, weight float64) map[string]any {
	return map[string]any{"AdditionalVersionWeights": map[string]float64{version: weight}}
}

// twoVersions makes a function with two versions that say which they are.
func (h *harness) twoVersions(name string) {
	h.t.Helper()
	const source = "def handler(event, context):\n" +
		"    return {'version_id': 'version%d', 'invoked_arn': context.invoked_function_arn, 'version_from_ctx': context.function_version}\n"
	h.createPython(name, fmt.Sprintf(source, 1))
	for i := range 2 {
		if i > 0 {
			h.call(http.MethodPut, functions+"/"+name+"/code", h.json(map[string]any{"ZipFile": h.zip("handler.py", fmt.Sprintf(source, 2))}), nil)
			h.waitUpdated(name)
		}
		if got := h.publishVersion(name, nil); got["Version"] != fmt.Sprint(i+1) {
			h.t.Fatal(got)
		}
	}
}

func TestAliasRefusals(t *testing.T) {
	h := start(t)
	s := record(t, "lambda_api", "TestLambdaAlias::test_non_existent_alias_update")
	h.twoVersions("f")
	same(t, s, "update_alias_response", h.updateAlias("f", "non-existent", map[string]any{"Description": "changed"}))
	s = record(t, "lambda_api", "TestLambdaAlias::test_non_existent_alias_deletion")
	same(t, s, "delete_alias_response", h.call(http.MethodDelete, functions+"/f/aliases/non-existent", nil, nil))
	s = record(t, "lambda_api", "TestLambdaAlias::test_alias_lifecycle")
	same(t, s, "get_function_alias_notfound_exc", h.call(http.MethodGet, functions+"/f?Qualifier=aliasdoesnotexist", nil, nil))
	same(t, s, "get_function_alias_byarn_notfound_exc", h.call(http.MethodGet, functions+"/"+functionARN("f:aliasdoesnotexist"), nil, nil))
	if got := h.createAlias("f", map[string]any{"Name": "used", "FunctionVersion": "1"}); got["Error"] != nil {
		t.Fatal(got)
	}
	for _, tc := range []struct {
		name, code, text string
		got              answer
	}{
		{"again", "ResourceConflictException", "Alias already exists: " + functionARN("f:used"),
			h.createAlias("f", map[string]any{"Name": "used", "FunctionVersion": "2"})},
		{"a number", "ValidationException", "1 validation error detected: Value '7' at 'name'",
			h.createAlias("f", map[string]any{"Name": "7", "FunctionVersion": "1"})},
		{"no such version", "ResourceNotFoundException", "Function not found: " + functionARN("f:9"),
			h.createAlias("f", map[string]any{"Name": "a", "FunctionVersion": "9"})},
		{"no such second version", "ResourceNotFoundException", "Function not found: " + functionARN("f:9"),
			h.createAlias("f", map[string]any{"Name": "a", "FunctionVersion": "1", "RoutingConfig": routing("9", 0.5)})},
		{"no such function", "ResourceNotFoundException", "Function not found: " + functionARN("nope"),
			h.createAlias("nope", map[string]any{"Name": "a", "FunctionVersion": "1"})},
		{"itself twice", "InvalidParameterValueException", "Invalid function version 1. Function version 1 is already included in routing configuration.",
			h.createAlias("f", map[string]any{"Name": "a", "FunctionVersion": "1", "RoutingConfig": routing("1", 0.5)})},
		{"$LATEST and another", "InvalidParameterValueException", "$LATEST is not supported for an alias pointing to more than 1 version",
			h.createAlias("f", map[string]any{"Name": "a", "FunctionVersion": "$LATEST", "RoutingConfig": routing("1", 0.5)})},
		{"three", "InvalidParameterValueException", "Number of items in AdditionalVersionWeights cannot be greater than 1",
			h.createAlias("f", map[string]any{"Name": "a", "FunctionVersion": "1",
				"RoutingConfig": map[string]any{"AdditionalVersionWeights": map[string]float64{"2": 0.1, "3": 0.1}}})},
		{"get none", "ResourceNotFoundException", "Cannot find alias arn: " + functionARN("f:nope"),
			h.call(http.MethodGet, functions+"/f/aliases/nope", nil, nil)},
		{"another revision", "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id.",
			h.updateAlias("f", "used", map[string]any{"RevisionId": "00000000-0000-0000-0000-000000000000"})},
		{"a version in use", "ResourceConflictException", "Unable to delete version because the following aliases reference it: [used]",
			h.call(http.MethodDelete, functions+"/f?Qualifier=1", nil, nil)},
	} {
		e, _ := tc.got["Error"].(map[string]any)
		if text, _ := e["Message"].(string); e["Code"] != tc.code || len(text) < len(tc.text) || text[:len(tc.text)] != tc.text {
			t.Errorf("%s: %v", tc.name, tc.got)
		}
	}
	out, err := h.lambda.ListAliases(t.Context(), &lambda.ListAliasesInput{FunctionName: aws.String("f")})
	if err != nil || len(out.Aliases) != 1 {
		t.Errorf("refusals left aliases: %v %v", out, err)
	}
}

func TestRecordedAliases(t *testing.T) {
	h := start(t)
	s := record(t, "lambda_api", "TestLambdaAlias::test_alias_lifecycle")
	h.createRaw(map[string]any{"FunctionName": "f", "Handler": "index.handler", "Environment": map[string]any{"Variables": map[string]string{"testenv": "staging"}}})
	h.waitActive("f")
	h.publishVersion("f", nil)
	h.call(http.MethodPut, functions+"/f/configuration", h.json(map[string]any{"Description": "other"}), nil)
	h.waitUpdated("f")
	h.publishVersion("f", nil)
	before := h.getFunction("f")["Configuration"].(map[string]any)["RevisionId"]
	get := func(name string) answer { return h.call(http.MethodGet, functions+"/f/aliases/"+name, nil, nil) }
	list := func(query string) answer { return h.call(http.MethodGet, functions+"/f/aliases"+query, nil, nil) }
	weighted := routing("2", 0.2)
	same(t, s, "create_alias_1_1", h.createAlias("f", map[string]any{
		"Name": "aliasname1_1", "FunctionVersion": "1", "Description": "custom-alias", "RoutingConfig": weighted}))
	same(t, s, "get_alias_1_1", get("aliasname1_1"))
	same(t, s, "get_function_alias_1_1", h.getFunction("f?Qualifier=aliasname1_1"))
	same(t, s, "get_function_byarn_alias_1_1", h.getFunction(functionARN("f:aliasname1_1")))
	same(t, s, "create_alias_1_2", h.createAlias("f", map[string]any{"Name": "aliasname1_2", "FunctionVersion": "1", "Description": "custom-alias"}))
	same(t, s, "get_alias_1_2", get("aliasname1_2"))
	same(t, s, "create_alias_1_3", h.createAlias("f", map[string]any{"Name": "aliasname1_3", "FunctionVersion": "1"}))
	same(t, s, "get_alias_1_3", get("aliasname1_3"))
	same(t, s, "create_alias_2", h.createAlias("f", map[string]any{"Name": "aliasname2", "FunctionVersion": "2", "Description": "custom-alias"}))
	same(t, s, "get_alias_2", get("aliasname2"))
	same(t, s, "list_aliases_for_fnname", list(""), "ResponseMetadata")
	first := get("aliasname1_1")["RevisionId"]
	same(t, s, "update_alias_1_1", h.updateAlias("f", "aliasname1_1", map[string]any{"RoutingConfig": map[string]any{}, "RevisionId": first}))
	same(t, s, "get_alias_1_1_after_update", get("aliasname1_1"))
	same(t, s, "list_aliases_for_fnname_after_update", list(""))
	if get("aliasname1_1")["RevisionId"] == first {
		t.Error("an update left the alias's revision as it was")
	}
	same(t, s, "update_alias_1_2", h.updateAlias("f", "aliasname1_2", nil))
	same(t, s, "get_alias_1_2_after_update", get("aliasname1_2"))
	same(t, s, "list_aliases_for_fnname_after_update_2", list(""))
	same(t, s, "list_aliases_for_version", list("?FunctionVersion=1"))
	same(t, s, "delete_alias_response", h.call(http.MethodDelete, functions+"/f/aliases/aliasname1_1", nil, nil))
	same(t, s, "list_aliases_for_fnname_afterdelete", list(""))
	if after := h.getFunction("f")["Configuration"].(map[string]any)["RevisionId"]; after != before {
		t.Error("aliases changed the function's revision")
	}
	page := list("?MaxItems=2")
	if names := items(page["Aliases"]); len(names) != 2 || names[1]["Name"] != "aliasname1_3" || page["NextMarker"] == nil {
		t.Errorf("a page: %v", page)
	}
	if rest := items(list("?Marker=" + page["NextMarker"].(string))["Aliases"]); len(rest) != 1 || rest[0]["Name"] != "aliasname2" {
		t.Errorf("the next page: %v", rest)
	}
}

func TestRecordedAliasMoves(t *testing.T) {
	h := start(t)
	s := record(t, "lambda", "TestLambdaAliases::test_lambda_alias_moving")
	h.twoVersions("f")
	same(t, s, "create_alias_response", h.createAlias("f", map[string]any{"Name": "alias1", "FunctionVersion": "1"}))
	same(t, s, "invocation_result_qualifier_v1", h.invokeRaw("f:alias1", nil, nil))
	same(t, s, "invocation_result_qualifier_v1_arn", h.invokeRaw(functionARN("f:alias1"), nil, nil))
	same(t, s, "update_alias_response", h.updateAlias("f", "alias1", map[string]any{"FunctionVersion": "2"}))
	same(t, s, "invocation_result_qualifier_v2", h.invokeRaw("f:alias1", nil, nil))
	same(t, s, "invocation_exc_not_existent", h.invokeRaw("f:non-existent-alias", nil, nil))
	h.createAlias("f", map[string]any{"Name": "newest", "FunctionVersion": "$LATEST"})
	want := maps.Clone(s["invocation_result_qualifier_v2"].(map[string]any))
	want["ExecutedVersion"], want["Payload"] = "$LATEST", map[string]any{
		"version_id": "version2", "version_from_ctx": "$LATEST", "invoked_arn": functionARN("f:newest")}
	same(t, recorded.Scenario{"x": want}, "x", h.invokeRaw("f:newest", nil, nil))
}

// TestAliasWeights: both versions serve, as often as they should.
func TestAliasWeights(t *testing.T) {
	h := start(t)
	h.twoVersions("f")
	for weight, least := range map[float64]int{0: 0, 1: 100, 0.5: 20} { // fewer than 20 of 100: once in 10^9 runs
		name := fmt.Sprintf("w%d", int(weight*10))
		if _, err := h.lambda.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("f"), Name: &name,
			FunctionVersion: aws.String("1"), RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": weight}},
		}); err != nil {
			t.Fatal(err)
		}
		executed := map[string]int{}
		for range 100 {
			out, err := h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f:" + name)})
			if err != nil {
				t.Fatal(err)
			}
			executed[*out.ExecutedVersion]++
		}
		if executed["2"] < least || executed["1"] < min(20, 100-least) && weight < 1 || executed["2"] > 0 && weight == 0 {
			t.Errorf("weight %v: %v", weight, executed)
		}
	}
}
