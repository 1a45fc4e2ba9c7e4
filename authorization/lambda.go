package authorization

import (
	"strconv"
	"strings"

	"hotaru/function"
	"hotaru/policy"
)

// lambdaRules follow the Service Authorization Reference
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html).
func lambdaRules() map[string]rule {
	invoke := rule{action: "lambda:InvokeFunction", question: functionResource}
	everything := rule{question: lambdaKeys}
	return map[string]rule{
		"":                            {question: lambdaResource},
		"Invoke":                      invoke,
		"InvokeWithResponseStream":    invoke,
		"GetLayerVersionByArn":        {action: "lambda:GetLayerVersion", question: lambdaResource},
		"CreateFunction":              {question: lambdaResource, more: functionNeeds},
		"UpdateFunctionConfiguration": {question: lambdaResource, more: functionNeeds},
		"CreateEventSourceMapping":    everything,
		"ListEventSourceMappings":     everything,
		"ListLayerVersions":           {},
	}
}

// lambdaResource names what an operation is about by the members of its input.
func lambdaResource(x *exchange, q *question) {
	lambdaKeys(x, q)
	if uuid, ok := x.in.text("UUID"); ok {
		q.resource = x.arn("lambda", "event-source-mapping:"+uuid)
		return
	}
	if functionResource(x, q); q.resource != "*" {
		return
	}
	if name, ok := x.in.text("LayerName"); ok {
		q.resource = x.layer(name)
		return
	}
	if name, ok := x.in.text("CapacityProviderName"); ok {
		q.resource = x.given("capacity-provider:", name)
		return
	}
	for _, member := range []string{"CodeSigningConfigArn", "DurableExecutionArn", "ResourceArn", "Resource", "Arn"} {
		if arn, ok := x.in.text(member); ok {
			q.resource = arn
			return
		}
	}
}

// functionResource is all that an invocation needs, and so costs no more.
func functionResource(x *exchange, q *question) {
	if name, ok := x.in.text("FunctionName"); ok {
		qualifier, _ := x.in.text("Qualifier")
		q.resource = x.function(name, qualifier)
	}
}

// lambdaKeys are Lambda's own condition keys, and tags.
func lambdaKeys(x *exchange, q *question) {
	x.tagging(q)
	set := func(key string, values ...string) {
		if q.keys == nil {
			q.keys = map[string][]string{}
		}
		q.keys[key] = values
	}
	switch x.call.Operation {
	case "CreateEventSourceMapping", "UpdateEventSourceMapping":
		if name, ok := x.in.text("FunctionName"); ok {
			set("lambda:functionarn", x.function(name, ""))
		}
	case "CreateFunction", "UpdateFunctionConfiguration":
		if layers := x.in.texts("Layers"); layers != nil {
			set("lambda:layer", layers...)
		}
		if arn, ok := x.in.text("CodeSigningConfigArn"); ok {
			set("lambda:codesigningconfigarn", arn)
		}
	case "AddPermission":
		if principal, ok := x.in.text("Principal"); ok {
			set("lambda:principal", principal)
		}
		if kind, ok := x.in.text("FunctionUrlAuthType"); ok {
			set("lambda:functionurlauthtype", kind)
		}
	case "CreateFunctionUrlConfig", "UpdateFunctionUrlConfig":
		if kind, ok := x.in.text("AuthType"); ok {
			set("lambda:functionurlauthtype", kind)
		}
	}
}

// function is the ARN of the function that a name and a qualifier mean, as the operation will understand them. What
// it will refuse keeps the name that was given.
func (x *exchange) function(name, qualifier string) string {
	s := x.call.Scope
	id := function.ID{Partition: s.Partition, Region: s.Region, Account: s.Account, Name: name}
	if reference, ok := function.ParseReference(name); ok {
		id.Name = reference.Name
		if reference.Region != "" {
			id.Region = reference.Region
		}
		if reference.Account != "" {
			id.Account = reference.Account
		}
		if qualifier == "" {
			qualifier = reference.Qualifier
		}
	}
	if qualifier == "" {
		return id.ARN()
	}
	return id.QualifiedARN(qualifier)
}

// layer is a layer's ARN, or a layer version's where the request names one.
func (x *exchange) layer(name string) string {
	arn := x.given("layer:", name)
	if v := x.in.FieldByName("VersionNumber"); v.IsValid() {
		if number, ok := v.Interface().(*int64); ok && number != nil {
			arn += ":" + strconv.FormatInt(*number, 10)
		}
	}
	return arn
}

// given is an ARN where one is given, and otherwise made of the name.
func (x *exchange) given(kind, name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return x.arn("lambda", kind+name)
}

// functionNeeds is what making a function takes besides: passing the role, reading the layers, setting the tags.
func functionNeeds(x *exchange, asked *question) []question {
	var needs []question
	if role, ok := x.in.text("Role"); ok {
		needs = append(needs, x.passRole(role, asked.resource))
	}
	for _, layer := range x.in.texts("Layers") {
		// Whether another account's layer may be used is the operation's to find out, which has the layer's policy.
		needs = append(needs, question{action: "lambda:GetLayerVersion", resource: layer})
	}
	if len(asked.requestTags) > 0 {
		needs = append(needs, question{action: "lambda:TagResource", resource: asked.resource, requestTags: asked.requestTags})
	}
	return needs
}

// passRole asks for iam:PassRole. Lambda finds roles by their name, whatever path a request gives them, so what must
// be allowed is the role that has the name.
func (x *exchange) passRole(arn, of string) question {
	q := question{action: "iam:PassRole", resource: arn, account: accountOf(arn), keys: map[string][]string{
		"iam:passedtoservice": {"lambda.amazonaws.com"}, "iam:associatedresourcearn": {of},
	}}
	if role, err := function.ParseRoleARN(arn); err == nil && role.Account == x.call.Scope.Account {
		if found, ok := x.a.Directory.Role(x.call.Scope, role.Name); ok {
			q.resource = found.ARN
			q.describe(found.Tags)
		}
	}
	return q
}

// describe sets the resource's tags, under both names that IAM has for them.
func (q *question) describe(tags []policy.Tag) {
	q.resourceTags = tags
	for _, t := range tags {
		if q.keys == nil {
			q.keys = map[string][]string{}
		}
		q.keys["iam:resourcetag/"+strings.ToLower(t.Key)] = []string{t.Value}
	}
}

// accountOf is the account that an ARN names; empty where it names none.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}
