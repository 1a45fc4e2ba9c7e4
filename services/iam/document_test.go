package iam

import (
	"errors"
	"strings"
	"testing"

	"hotaru/awsapi"
	"hotaru/policy"
)

func TestIdentityPolicyRefusals(t *testing.T) {
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[` + s + `]}` }
	const syntax = "Syntax errors in policy."
	for _, c := range []struct{ name, document, want string }{
		{"no JSON", `nonsense`, syntax},
		{"an array", `[]`, syntax},
		{"null", `null`, syntax},
		{"no statement", `{"Version":"2012-10-17"}`, syntax},
		{"no statements", statement(``), syntax},
		{"a statement of text", statement(`"x"`), syntax},
		{"an unknown version", `{"Version":"2013-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`, syntax},
		{"an unknown member", `{"Version":"2012-10-17","Extra":1,"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`, syntax},
		{"an unknown element", statement(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Extra":1}`), syntax},
		{"an element in other case", statement(`{"effect":"Allow","Action":"s3:*","Resource":"*"}`), syntax},
		{"no effect", statement(`{"Action":"s3:*","Resource":"*"}`), syntax},
		{"an effect in other case", statement(`{"Effect":"allow","Action":"s3:*","Resource":"*"}`), syntax},
		{"both actions", statement(`{"Effect":"Allow","Action":"s3:*","NotAction":"s3:*","Resource":"*"}`), syntax},
		{"an action that is a number", statement(`{"Effect":"Allow","Action":1,"Resource":"*"}`), syntax},
		{"a condition that is text", statement(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":"x"}`), syntax},
		{"no version", `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`, "Policy document must be version 2012-10-17 or greater."},
		{"the old version", `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`, "Policy document must be version 2012-10-17 or greater."},
		{"a principal", statement(`{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}`), "Policy document should not specify a principal."},
		{"no action", statement(`{"Effect":"Allow","Resource":"*"}`), "Policy statement must contain actions."},
		{"no resource", statement(`{"Effect":"Allow","Action":"s3:*"}`), "Policy statement must contain resources."},
		{"an action without vendor", statement(`{"Effect":"Allow","Action":"GetObject","Resource":"*"}`), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{"a strange vendor", statement(`{"Effect":"Allow","Action":"a a:b","Resource":"*"}`), "Vendor a a is not valid"},
		{"a resource that is no ARN", statement(`{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}`), `Resource bucket must be in ARN format or "*".`},
		{"a resource without partition", statement(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:s3:::b"}`), `Partition "s3" is not valid for resource "arn:s3:::b".`},
		{"a short ARN", statement(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:b"}`), "The policy failed legacy parsing"},
		{"IAM in a region", statement(`{"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam:us-east-1:1:role/x"}`), "IAM resource arn:aws:iam:us-east-1:1:role/x cannot contain region information."},
		{"a strange Sid", statement(`{"Sid":"a b","Effect":"Allow","Action":"s3:*","Resource":"*"}`), "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"},
		{"a Sid twice", statement(`{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"}`), "Statement IDs (SID) in a single policy must be unique."},
		{"good: one of each", statement(`{"Sid":"a","Effect":"Deny","NotAction":["s3:*","*"],"NotResource":["*","arn:aws:s3:::b/*"],"Condition":{"Bool":{"aws:SecureTransport":[true,"false"]}}}`), ""},
		{"good: an id", `{"Version":"2012-10-17","Id":"x","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws-cn:logs:*"}}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) { wantMalformed(t, checkIdentityPolicy(c.document), c.want) })
	}
}

func TestTrustPolicyRefusals(t *testing.T) {
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[` + s + `]}` }
	for _, c := range []struct{ name, document, want string }{
		{"no JSON", `trust.json`, "This policy contains invalid Json"},
		{"an array", `[]`, "Syntax errors in policy."},
		{"a resource", statement(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}`), "Has prohibited field Resource"},
		{"no principal", statement(`{"Effect":"Allow","Action":"sts:AssumeRole"}`), "Missing required field Principal"},
		{"no action", statement(`{"Effect":"Allow","Principal":"*"}`), "Missing required field Action"},
		{"another action", statement(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}`), "AssumeRole policy may only specify STS AssumeRole actions."},
		{"a service without domain", statement(`{"Effect":"Allow","Principal":{"Service":"lambda"},"Action":"sts:AssumeRole"}`), `Invalid principal in policy: "SERVICE":"lambda"`},
		{"a strange account", statement(`{"Effect":"Allow","Principal":{"AWS":"me"},"Action":"sts:AssumeRole"}`), `Invalid principal in policy: "AWS":"me"`},
		{"good: the console's", `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","edgelambda.amazonaws.com"]},"Action":"sts:AssumeRole"}}`, ""},
		{"good: accounts", statement(`{"Effect":"Allow","Principal":{"AWS":["123456789012","arn:aws:iam::123456789012:root","*"]},"Action":["sts:AssumeRole","sts:TagSession"]}`), ""},
	} {
		t.Run(c.name, func(t *testing.T) { wantMalformed(t, checkTrustPolicy(c.document), c.want) })
	}
}

func wantMalformed(t *testing.T, err error, want string) {
	t.Helper()
	var e awsapi.APIError
	errors.As(err, &e)
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && err == nil:
		t.Error("accepted")
	case want != "" && (e == nil || e.ErrorCode() != "MalformedPolicyDocument" || e.ErrorMessage() != want):
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestTrusts(t *testing.T) {
	const lambda = "lambda.amazonaws.com"
	for _, c := range []struct {
		name, statements string
		want             bool
	}{
		{"the service", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`, true},
		{"one of many", `{"Effect":"Allow","Principal":{"Service":["a.amazonaws.com","lambda.amazonaws.com"]},"Action":["sts:TagSession","sts:AssumeRole"]}`, true},
		{"everybody", `{"Effect":"Allow","Principal":"*","Action":"sts:*"}`, true},
		{"another service", `{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}`, false},
		{"another action", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:TagSession"}`, false},
		{"an account", `{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}`, false},
		{"another condition", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:Assume*","Condition":{"StringEquals":{"aws:SourceAccount":"1"}}}`, true},
		{"all but others", `{"Effect":"Allow","NotPrincipal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}`, false},
		{"denied", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"},{"Effect":"Deny","Principal":"*","Action":"*"}`, false},
	} {
		if got := trusts(compiled(`{"Version":"2012-10-17","Statement":[`+c.statements+`]}`), lambda); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestAWSPolicies holds AWS's own to the grammar that customers' must follow.
func TestAWSPolicies(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range allAWSManaged("aws") {
		if err := checkIdentityPolicy(p.defaultDocument()); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if seen[p.ID] || len(p.ID) != 21 || !strings.HasPrefix(p.ID, "ANPA") {
			t.Errorf("%s has the identifier %s", p.Name, p.ID)
		}
		seen[p.ID] = true
		if found := awsManaged("aws", p.ARN); found == nil || found.Name != p.Name {
			t.Errorf("%s is not found by its ARN", p.Name)
		}
	}
	if len(seen) < 20 {
		t.Errorf("%d policies", len(seen))
	}
}

// TestAWSPoliciesAllow: what people attach is there, under the ARN that they know, and allows what they need and no more.
func TestAWSPoliciesAllow(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/r"
	documents := managedDocuments()
	for name, c := range map[string]struct{ yes, no []string }{
		"/service-role/AWSLambdaBasicExecutionRole":              {[]string{"logs:CreateLogGroup", "logs:PutLogEvents"}, []string{"logs:GetLogEvents", "lambda:InvokeFunction"}},
		"/service-role/AWSLambdaSQSQueueExecutionRole":           {[]string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "logs:PutLogEvents"}, []string{"sqs:SendMessage"}},
		"/service-role/AWSLambdaKinesisExecutionRole":            {[]string{"kinesis:GetRecords", "kinesis:ListShards", "logs:PutLogEvents"}, []string{"kinesis:PutRecord"}},
		"/service-role/AWSLambdaDynamoDBExecutionRole":           {[]string{"dynamodb:GetRecords", "dynamodb:DescribeStream", "logs:PutLogEvents"}, []string{"dynamodb:GetItem"}},
		"/service-role/AWSLambdaMSKExecutionRole":                {[]string{"kafka:DescribeCluster", "kafka:GetBootstrapBrokers", "logs:PutLogEvents"}, []string{"kafka:DeleteCluster"}},
		"/service-role/AWSLambdaVPCAccessExecutionRole":          {[]string{"ec2:CreateNetworkInterface", "logs:PutLogEvents"}, []string{"ec2:RunInstances"}},
		"/service-role/AWSLambdaENIManagementAccess":             {[]string{"ec2:CreateNetworkInterface"}, []string{"logs:PutLogEvents"}},
		"/service-role/AWSLambdaBasicDurableExecutionRolePolicy": {[]string{"lambda:CheckpointDurableExecution", "logs:PutLogEvents"}, []string{"lambda:InvokeFunction"}},
		"/service-role/AWSLambdaRole":                            {[]string{"lambda:InvokeFunction"}, []string{"lambda:GetFunction"}},
		"/AWSLambda_FullAccess":                                  {[]string{"lambda:DeleteFunction", "iam:GetRole"}, []string{"iam:PassRole", "iam:CreateRole", "s3:GetObject"}},
		"/AWSLambda_ReadOnlyAccess":                              {[]string{"lambda:GetFunction", "lambda:ListFunctions"}, []string{"lambda:InvokeFunction", "lambda:DeleteFunction"}},
		"/AWSXRayDaemonWriteAccess":                              {[]string{"xray:PutTraceSegments"}, []string{"xray:GetTraceSummaries"}},
		"/CloudWatchLambdaInsightsExecutionRolePolicy":           {nil, []string{"logs:PutLogEvents", "logs:DeleteLogGroup"}},
		"/AdministratorAccess":                                   {[]string{"iam:CreateUser", "s3:DeleteBucket"}, nil},
		"/PowerUserAccess":                                       {[]string{"lambda:CreateFunction", "iam:ListRoles"}, []string{"iam:CreateUser", "account:CloseAccount"}},
		"/ReadOnlyAccess":                                        {[]string{"lambda:GetFunction", "s3:GetObject", "logs:FilterLogEvents"}, []string{"lambda:InvokeFunction", "secretsmanager:GetSecretValue", "iam:CreateUser"}},
	} {
		d := documents[name]
		if d == nil {
			t.Errorf("%s is not there", name)
			continue
		}
		allows := func(action string) bool {
			return policy.Evaluate(policy.Policies{Identity: []*policy.Document{d}}, &policy.Request{Action: action, Resource: role}).Allowed
		}
		for _, action := range c.yes {
			if !allows(action) {
				t.Errorf("%s does not allow %s", name, action)
			}
		}
		for _, action := range c.no {
			if allows(action) {
				t.Errorf("%s allows %s", name, action)
			}
		}
	}
	pass := &policy.Request{Action: "iam:PassRole", Resource: role, Keys: map[string][]string{"iam:passedtoservice": {"lambda.amazonaws.com"}}}
	if full := documents["/AWSLambda_FullAccess"]; !policy.Evaluate(policy.Policies{Identity: []*policy.Document{full}}, pass).Allowed {
		t.Error("AWSLambda_FullAccess does not pass roles to Lambda")
	}
}

func FuzzDocuments(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"a","Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:*"],"Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"a":["b",1,true]}}}]}`)
	f.Add(`{"Statement":{"Effect":"Deny","NotPrincipal":"*","NotAction":"*","NotResource":["arn"]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, err := range []error{checkIdentityPolicy(text), checkTrustPolicy(text)} {
			var e awsapi.APIError
			if err != nil && (!errors.As(err, &e) || e.ErrorCode() != "MalformedPolicyDocument") {
				t.Errorf("refused with %v", err)
			}
		}
		if checkTrustPolicy(text) != nil && documentSize(text) > len(text) {
			t.Errorf("a size of %d for %d bytes", documentSize(text), len(text))
		}
		if d, err := policy.Parse(text); err == nil {
			trusts(d, "lambda.amazonaws.com")
		}
	})
}
