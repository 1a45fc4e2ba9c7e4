// Package runtime is the managed runtimes: which Lambda has, which of them this machine can run and with what
// interpreter, the root file system and the command that start one, and our own bootstraps. It must not know
// functions, invocations or how a sandbox is made, and it reads nothing from the process's environment.
package runtime

import (
	"slices"
	"strconv"
	"strings"
)

// Language is what a runtime's functions are written in.
type Language string

// The languages of Lambda's runtimes. Provided is a custom runtime: whatever the function brings along.
const (
	Python   Language = "python"
	NodeJS   Language = "nodejs"
	Provided Language = "provided"
	Java     Language = "java"
	Ruby     Language = "ruby"
	DotNet   Language = "dotnet"
	Go       Language = "go"
)

// Info is what Lambda says about one runtime identifier.
type Info struct {
	ID       string
	Language Language
	// Version is the language's version as the identifier has it: "3.11", "20". Empty for custom runtimes.
	Version string
	// Deprecated is the day from which AWS supports it no more, 2006-01-02; empty if that day had not come when
	// this table was written
	// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html).
	Deprecated string
}

// known is every value of the Lambda model's shape Runtime.
var known = []Info{
	{"nodejs", NodeJS, "0.10", "2016-10-31"},
	{"nodejs4.3", NodeJS, "4", "2020-03-05"},
	{"nodejs4.3-edge", NodeJS, "4", "2019-04-30"},
	{"nodejs6.10", NodeJS, "6", "2019-08-12"},
	{"nodejs8.10", NodeJS, "8", "2020-03-06"},
	{"nodejs10.x", NodeJS, "10", "2021-07-30"},
	{"nodejs12.x", NodeJS, "12", "2023-03-31"},
	{"nodejs14.x", NodeJS, "14", "2023-12-04"},
	{"nodejs16.x", NodeJS, "16", "2024-06-12"},
	{"nodejs18.x", NodeJS, "18", "2025-09-01"},
	{"nodejs20.x", NodeJS, "20", "2026-04-30"},
	{"nodejs22.x", NodeJS, "22", ""},
	{"nodejs24.x", NodeJS, "24", ""},
	{"nodejs26.x", NodeJS, "26", ""},
	{"python2.7", Python, "2.7", "2021-07-15"},
	{"python3.6", Python, "3.6", "2022-07-18"},
	{"python3.7", Python, "3.7", "2023-12-04"},
	{"python3.8", Python, "3.8", "2024-10-14"},
	{"python3.9", Python, "3.9", "2025-12-15"},
	{"python3.10", Python, "3.10", "2026-10-31"},
	{"python3.11", Python, "3.11", ""},
	{"python3.12", Python, "3.12", ""},
	{"python3.13", Python, "3.13", ""},
	{"python3.14", Python, "3.14", ""},
	{"python3.15", Python, "3.15", ""},
	{"java8", Java, "8", "2024-01-08"},
	{"java8.al2", Java, "8", ""},
	{"java8.al2023", Java, "8", ""},
	{"java11", Java, "11", ""},
	{"java11.al2023", Java, "11", ""},
	{"java17", Java, "17", ""},
	{"java17.al2023", Java, "17", ""},
	{"java21", Java, "21", ""},
	{"java25", Java, "25", ""},
	{"dotnetcore1.0", DotNet, "1.0", "2019-06-27"},
	{"dotnetcore2.0", DotNet, "2.0", "2019-05-30"},
	{"dotnetcore2.1", DotNet, "2.1", "2022-01-05"},
	{"dotnetcore3.1", DotNet, "3.1", "2023-04-03"},
	{"dotnet6", DotNet, "6", "2024-12-20"},
	{"dotnet8", DotNet, "8", "2026-11-10"},
	{"dotnet10", DotNet, "10", ""},
	{"go1.x", Go, "1", "2024-01-08"},
	{"ruby2.5", Ruby, "2.5", "2021-07-30"},
	{"ruby2.7", Ruby, "2.7", "2023-12-07"},
	{"ruby3.2", Ruby, "3.2", "2026-03-31"},
	{"ruby3.3", Ruby, "3.3", ""},
	{"ruby3.4", Ruby, "3.4", ""},
	{"ruby4.0", Ruby, "4.0", ""},
	{"provided", Provided, "", "2024-01-08"},
	{"provided.al2", Provided, "", ""},
	{"provided.al2023", Provided, "", ""},
}

// Known returns every runtime identifier of Lambda's, installed here or not.
func Known() []Info { return slices.Clone(known) }

// Lookup returns what is known about a runtime identifier.
func Lookup(id string) (Info, bool) {
	for _, info := range known {
		if info.ID == id {
			return info, true
		}
	}
	return Info{}, false
}

// The oldest versions that our bootstraps run on.
const (
	oldestPython = "3.8"
	oldestNode   = "16"
)

// serves says whether an interpreter's full version is of a runtime's version: 3.11.7 of 3.11, 20.20.2 of 20.
func serves(full, version string) bool {
	return full == version || strings.HasPrefix(full, version+".")
}

// compareVersions compares dotted numbers; what is no number counts as 0.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if c := versionPart(as, i) - versionPart(bs, i); c != 0 {
			return c
		}
	}
	return 0
}

func versionPart(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.Atoi(parts[i])
	return n
}
