// Package policy is IAM's policy language: it parses documents, compiles them and evaluates requests against them. It
// does no input or output, and must not know any service's actions, where documents are kept, nor who asks.
//
// A Document is compiled once and shared; evaluating a request reads it alone:
//
//	document, err := policy.Parse(text)
//	decision := policy.Evaluate(policy.Policies{Identity: []*policy.Document{document}}, &policy.Request{
//		Action: "lambda:InvokeFunction", Resource: arn, Principal: caller,
//	})
//
// The order is IAM's: an explicit deny in any policy wins; then whatever kind of policy must allow the request and does
// not denies it (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html). Where the
// language leaves something open, as what a variable without a value means, the answer is the one that permits less.
package policy
