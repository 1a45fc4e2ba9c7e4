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
		"AttachRolePolicy":              "services/iam.TestMissingThings",
		"CreatePolicy":                  "services/iam.TestPolicyVersions",
		"CreatePolicyVersion":           "services/iam.TestPolicyVersions",
		"CreateRole":                    "services/iam.TestRoleConflictsAndLimits",
		"DeletePolicy":                  "services/iam.TestMissingThings",
		"DeletePolicyVersion":           "services/iam.TestPolicyVersions",
		"DeleteRole":                    "services/iam.TestMissingThings",
		"DeleteRolePermissionsBoundary": "services/iam.TestRoleLife",
		"DeleteRolePolicy":              "services/iam.TestMissingThings",
		"DetachRolePolicy":              "services/iam.TestMissingThings",
		"GetPolicy":                     "services/iam.TestMissingThings",
		"GetPolicyVersion":              "services/iam.TestMissingThings",
		"GetRole":                       "services/iam.TestMissingThings",
		"GetRolePolicy":                 "services/iam.TestMissingThings",
		"ListAttachedRolePolicies":      "services/iam.TestRoleLife",
		"ListEntitiesForPolicy":         "services/iam.TestAttachmentsAreCounted",
		"ListInstanceProfilesForRole":   "services/iam.TestMissingThings",
		"ListPolicies":                  "services/iam.TestAttachmentsAreCounted",
		"ListRolePolicies":              "services/iam.TestRoleLife",
		"ListRoleTags":                  "services/iam.TestRoleLife",
		"ListRoles":                     "services/iam.TestListRolesInPages",
		"PutRolePermissionsBoundary":    "services/iam.TestAttachmentsAreCounted",
		"PutRolePolicy":                 "services/iam.TestMissingThings",
		"SetDefaultPolicyVersion":       "services/iam.TestPolicyVersions",
		"TagRole":                       "services/iam.TestRoleLife",
		"UntagRole":                     "services/iam.TestRoleLife",
		"UpdateRole":                    "services/iam.TestMissingThings",
	}
	stsTests = map[string]string{
		"GetCallerIdentity": "daemon.TestCallsFromInside",
	}
)
