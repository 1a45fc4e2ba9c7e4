package main

// The tests that show an operation at work, by operation.
var (
	lambdaTests = map[string]string{
		"CreateFunction":              "daemon.TestRecordedStates",
		"DeleteFunction":              "daemon.TestDeleteAndCreateAgain",
		"GetFunction":                 "daemon.TestRecordedStates",
		"GetFunctionConfiguration":    "daemon.TestRecordedRevision",
		"Invoke":                      "daemon.TestRecordedInvokes",
		"ListFunctions":               "daemon.TestListPages",
		"UpdateFunctionCode":          "daemon.TestUpdates",
		"UpdateFunctionConfiguration": "daemon.TestUpdates",
	}
	iamTests = map[string]string{
		"AttachRolePolicy":              "services/iam.TestAttachAgainstDelete",
		"CreatePolicy":                  "services/iam.TestPolicyVersions",
		"CreatePolicyVersion":           "services/iam.TestPolicyVersions",
		"CreateRole":                    "services/iam.TestRoleLife",
		"DeletePolicy":                  "services/iam.TestPolicyVersions",
		"DeletePolicyVersion":           "services/iam.TestPolicyVersions",
		"DeleteRole":                    "services/iam.TestRoleLife",
		"DeleteRolePermissionsBoundary": "services/iam.TestRoleLife",
		"DeleteRolePolicy":              "services/iam.TestRoleLife",
		"DetachRolePolicy":              "services/iam.TestRoleLife",
		"GetPolicy":                     "services/iam.TestPolicyVersions",
		"GetPolicyVersion":              "services/iam.TestMissingThings",
		"GetRole":                       "services/iam.TestRoleLife",
		"GetRolePolicy":                 "services/iam.TestRoleLife",
		"ListAttachedRolePolicies":      "services/iam.TestRoleLife",
		"ListEntitiesForPolicy":         "services/iam.TestAttachmentsAreCounted",
		"ListInstanceProfilesForRole":   "services/iam.TestRoleLife",
		"ListPolicies":                  "services/iam.TestAttachmentsAreCounted",
		"ListRolePolicies":              "services/iam.TestRoleLife",
		"ListRoleTags":                  "services/iam.TestRoleLife",
		"ListRoles":                     "services/iam.TestListRolesInPages",
		"PutRolePermissionsBoundary":    "services/iam.TestAttachmentsAreCounted",
		"PutRolePolicy":                 "services/iam.TestRoleLife",
		"SetDefaultPolicyVersion":       "services/iam.TestPolicyVersions",
		"TagRole":                       "services/iam.TestRoleLife",
		"UntagRole":                     "services/iam.TestRoleLife",
		"UpdateRole":                    "services/iam.TestRoleLife",
	}
	stsTests = map[string]string{
		"GetCallerIdentity": "daemon.TestCallsFromInside",
	}
)
