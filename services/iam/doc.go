// Package iam is the part of IAM that Lambda's users need: roles with their trust policies, inline and managed
// policies, tags, and the policies that AWS itself provides. It keeps them in store.State, one record for a role and
// one for a managed policy, and checks the grammar of policies. It must not know of functions, nor evaluate a request.
//
// IAM is global: records are scoped by partition and account, with the region "global". Names are not distinguished
// by case, so keys hold them in lower case and records as they were given.
//
// What one operation says about two records (a policy is attached to a role) stands in the role alone; attaching
// writes the policy again with its revision expected, so that attaching and deleting it cannot both succeed.
package iam
