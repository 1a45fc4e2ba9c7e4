package runtime

import (
	"slices"
	"strings"
)

// reserved are the variables that Lambda sets and that a function's configuration may not
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime).
var reserved = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID",
	"AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}

// ReservedVariables returns the names of environment variables that CreateFunction refuses, sorted.
func ReservedVariables() []string {
	names := slices.Clone(reserved)
	slices.Sort(names)
	return names
}

// startVariables are what an interpreter, the dynamic linker or the C library reads once, at the start of a
// process. Those that end in * are prefixes.
var startVariables = []string{
	"LD_*", "GLIBC_TUNABLES", "GCONV_PATH", "MALLOC_*", "LANG", "LANGUAGE", "LC_*", "LOCPATH",
	"PYTHON*",
	"NODE_*", "ICU_*", "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_*", "UV_*",
	"AWS_LAMBDA_EXEC_WRAPPER",
}

// ReadAtStart says whether a variable has no effect on a process that already runs: a function that sets one
// cannot be served by an interpreter that was started before.
func ReadAtStart(name string) bool {
	for _, pattern := range startVariables {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasPrefix(name, prefix) || name == pattern {
			return true
		}
	}
	return false
}
