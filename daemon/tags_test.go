package daemon

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"hotaru/function"
)

const tagsPath = "/2017-03-31/tags/"

func functionARN(name string) string { return here + name }

func (h *harness) tag(arn string, tags map[string]string) answer {
	h.t.Helper()
	return h.call(http.MethodPost, tagsPath+url.PathEscape(arn), h.json(map[string]any{"Tags": tags}), nil)
}

func (h *harness) tagsOf(arn string) answer {
	h.t.Helper()
	return h.call(http.MethodGet, tagsPath+url.PathEscape(arn), nil, nil)
}

func (h *harness) untag(arn, query string) answer {
	h.t.Helper()
	return h.call(http.MethodDelete, tagsPath+url.PathEscape(arn)+query, nil, nil)
}

// numbered are as many tags as a test wants, in the words of the record.
func numbered(n int) map[string]string {
	tags := map[string]string{}
	for i := range n {
		tags[fmt.Sprintf("%d_key", i)] = fmt.Sprintf("%d_value", i)
	}
	return tags
}

func TestRecordedTagRefusals(t *testing.T) {
	h := start(t)
	a := map[string]string{"key_a": "value_a"}
	s := record(t, "lambda_api", "TestLambdaTags::test_tag_exceptions")
	same(t, s, "tag_lambda_doesnotexist", h.tag(functionARN("doesnotexist"), a))
	for _, kind := range []string{"lambda_function", "event_source_mapping", "capacity_provider"} {
		arn := map[string]string{
			"lambda_function": functionARN("nope"), "capacity_provider": "arn:aws:lambda:us-east-1:000000000000:capacity-provider:nope",
			"event_source_mapping": "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:14e0db71-0000-4eb5-b481-8945cf9d10c2",
		}[kind]
		s := record(t, "lambda_api", "TestLambdaTag::test_tag_exceptions["+kind+"]")
		same(t, s, "not_found_exception_tag", h.tag(arn, a))
		same(t, s, "not_found_exception_untag", h.untag(arn, "?tagKeys=key_a"))
		same(t, s, "not_found_exception_list", h.tagsOf(arn))
	}
	h.createPython("f", "def handler(event, context): pass\n")
	same(t, s, "tag_lambda_qualifier_doesnotexist", h.tag(functionARN("f:alias"), a))
	same(t, s, "list_tag_lambda_empty", h.tagsOf(functionARN("f")))
	same(t, s, "untag_nomatch", h.untag(functionARN("f"), "?tagKeys=unknown_key"))
	same(t, s, "untag_empty_keys", h.untag(functionARN("f"), ""))
	same(t, s, "tag_empty_tags", h.tag(functionARN("f"), map[string]string{}))
	s = record(t, "lambda_api", "TestLambdaTags::test_tag_versions")
	same(t, s, "tag_resource_exception", h.tag(functionARN("f:1"), a))
	same(t, s, "tag_resource_latest_exception", h.tag(functionARN("f:$LATEST"), a))

	s = record(t, "lambda_api", "TestLambdaTags::test_tag_limits")
	same(t, s, "tag_lambda_too_many_tags", h.tag(functionARN("f"), numbered(51)))
	same(t, s, "create_function_invalid_tags", h.createRaw(map[string]any{"FunctionName": "g", "Tags": numbered(51)}))
	same(t, s, "tag_response", h.tag(functionARN("f"), numbered(50)))
	same(t, s, "list_tags_response", h.tagsOf(functionARN("f")))
	same(t, s, "tag_lambda_too_many_tags_additional", h.tag(functionARN("f"), a))
	for _, got := range []answer{
		h.tag(functionARN("f"), map[string]string{"AWS:owner": "x"}),
		h.createRaw(map[string]any{"FunctionName": "g", "Tags": map[string]string{"aws:owner": "x"}}),
	} {
		if e, _ := got["Error"].(map[string]any); e["Code"] != "InvalidParameterValueException" {
			t.Errorf("a reserved key: %v", got)
		}
	}
}

func TestRecordedTags(t *testing.T) {
	h := start(t)
	s := record(t, "lambda_api", "TestLambdaTags::test_tag_lifecycle")
	arn := functionARN("f")
	h.createRaw(map[string]any{"FunctionName": "f", "Timeout": 30, "Tags": map[string]string{"key_a": "value_a"},
		"Environment": map[string]any{"Variables": map[string]any{}}})
	h.waitActive("f")
	revision := func() any { return h.getFunction("f")["Configuration"].(map[string]any)["RevisionId"] }
	before := revision()
	check := func(list, get string) {
		t.Helper()
		same(t, s, list, h.tagsOf(arn))
		same(t, s, get, h.getFunction("f"))
	}
	check("list_tags_response_postfncreate", "get_fn_response_postfncreate")
	same(t, s, "tag_resource_response", h.tag(arn, map[string]string{
		"key_b": "value_b", "key_c": "value_c", "key_d": "value_d", "key_e": "value_e"}))
	check("list_tags_response_postaddtags", "get_fn_response_postaddtags")
	if revision() == before {
		t.Error("new tags left the revision as it was")
	}
	same(t, s, "tag_resource_overwrite", h.tag(arn, map[string]string{"key_b": "value_b", "key_c": "value_x"}))
	check("list_tags_response_overwrite", "get_fn_response_overwrite")
	h.untag(arn, "?tagKeys=key_c&tagKeys=key_d")
	check("list_tags_response_postuntag", "get_fn_response_postuntag")
	h.untag(arn, "?tagKeys=key_a&tagKeys=key_b&tagKeys=key_e")
	check("list_tags_response_postuntagall", "get_fn_response_postuntagall")

	id := function.ID{Partition: "aws", Region: "us-east-1", Account: "000000000000", Name: "f"}
	h.tag(arn, map[string]string{"hotaru:sandbox": "namespace"})
	if tags, ok := h.functions.Tags(id); !ok || tags["hotaru:sandbox"] != "namespace" {
		t.Errorf("tags: %v, %v", tags, ok)
	}
	h.call(http.MethodDelete, functions+"/f", nil, nil)
	same(t, s, "list_tags_postdelete", h.tagsOf(arn))
	if tags, ok := h.functions.Tags(id); ok {
		t.Errorf("tags of a deleted function: %v", tags)
	}
}
