package protocol

import "strings"

// notForServers gives the reason why a published case says nothing about a server, by the start or the end of its
// name; empty for those that do.
func notForServers(id string) string {
	for _, group := range []struct {
		reason string
		ids    []string
	}{
		{"a path in the client's endpoint setting is not part of the operation", []string{"*HostWithPath"}},
		{"the case states no compressed bytes", []string{"SDKAppliedContentEncoding*", "SDKAppendedGzip*", "SDKAppendsGzip*"}},
		{"the client makes up the token", []string{"*IdempotencyTokenAutoFill"}},
		{"the model format has no media types, so the header is plain text in it", []string{"MediaTypeHeader*"}},
		{"an empty header does not tell an empty list from none", []string{"RestJsonNullAndEmptyHeaders"}},
		{"what is empty is not on the wire", []string{
			"RestJsonOmitsEmptyListQueryValues", "RestJsonHttpPrefixEmptyHeaders", "RestJsonHttpPrefixHeadersAreNotPresent",
			"RestJsonHttpPayloadWithUnsetUnion", "QueryEmptyQueryMaps", "HttpPrefixHeadersAreNotPresent",
		}},
		{"nulls are not on the wire", []string{"*SerializeNullStructureValues", "*SerializeNullValues"}},
		{"an empty object and no body mean the same", []string{
			"RestJsonHttpWithEmptyStructurePayload", "RestJsonHttpWithHeadersButNoPayload", "handles_empty_output_shape",
			"AwsJson10HandlesEmptyOutputShape",
		}},
		{"which of two equal names a client leaves out, a server cannot tell", []string{
			"RestJsonQueryPrecedence", "RestJsonQueryParamsStringListMap", "RestXmlQueryPrecedence",
			"RestXmlQueryParamsStringListMap",
		}},
		{"servers write UTC", []string{"*DateTimeWithNegativeOffset", "*DateTimeWithPositiveOffset"}},
		{"servers write no nulls", []string{
			"*DeserializesDenseSetMapAndSkipsNull", "*DeserializeNullStructureValues", "AwsJson10DeserializeAllowNulls", "*DeserializeNullValues",
		}},
		{"servers write no __type into unions", []string{"*DeserializeIgnoreType"}},
		{"servers write no members that the model has not", []string{"handles_unexpected_json_output", "AwsJson10HandlesUnexpectedJsonOutput"}},
		{"the request's header stands among the response's by mistake", []string{"AwsJson11IntEnums", "AwsJson10IntEnums"}},
		{"the error has a member that its shape has not", []string{"InvalidGreetingError", "ComplexError"}},
		{"no body needs a type, and its length is the server's header, above this package", []string{
			"RestXmlHttpResponseCode", "RestXmlHttpPayloadWithUnsetUnion",
		}},
		{"no model has query members in an output", []string{"IgnoreQueryParamsInResponse"}},
		{"servers write no text between elements", []string{"SimpleScalarPropertiesWithXMLPreamble"}},
		{"the request ID is the server's header, above this package", []string{"parses_the_request_id_from_the_response"}},
		{"how other servers write the same error", []string{
			"RestJsonFooError*", "*FooErrorUsingXAmznErrorType", "*FooErrorUsingXAmznErrorTypeWithUri",
			"*FooErrorUsingXAmznErrorTypeWithUriAndNamespace", "*FooErrorUsingCode", "*FooErrorUsingCodeAndNamespace",
			"*FooErrorUsingCodeUriAndNamespace", "*FooErrorWithDunderTypeUriAndNamespace",
		}},
	} {
		for _, pattern := range group.ids {
			if matchID(pattern, id) {
				return group.reason
			}
		}
	}
	return ""
}

func matchID(pattern, id string) bool {
	if end, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(id, end)
	}
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(id, start)
	}
	return id == pattern
}
