package runtime

import goruntime "runtime"

// Retired says whether a runtime is too old for our bootstraps, so that nothing that could be installed would
// make it run. Lambda itself refuses new functions on it.
func Retired(id string) bool {
	info, ok := Lookup(id)
	return ok && info.Deprecated != "" && !hasBootstrap(info) && info.Language != Provided
}

// HostArchitecture is this machine's instruction set in Lambda's words: "x86_64" or "arm64".
func HostArchitecture() string {
	if goruntime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}
