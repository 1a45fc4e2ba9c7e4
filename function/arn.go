package function

import (
	"fmt"
	"regexp"
	"strings"
)

// Latest is the qualifier and version of the unpublished version.
const Latest = "$LATEST"

// ID identifies a function: functions of the same name in two accounts or regions have nothing in common.
type ID struct {
	Partition string `json:"partition"`
	Region    string `json:"region"`
	Account   string `json:"account"`
	Name      string `json:"name"`
}

// ARN is the function's unqualified ARN.
func (id ID) ARN() string {
	return "arn:" + id.Partition + ":lambda:" + id.Region + ":" + id.Account + ":function:" + id.Name
}

// QualifiedARN is the ARN of one version or alias; an empty qualifier gives the unqualified ARN.
func (id ID) QualifiedARN(qualifier string) string {
	if qualifier == "" {
		return id.ARN()
	}
	return id.ARN() + ":" + qualifier
}

// RuntimeVersionARN names a version of a managed runtime.
func RuntimeVersionARN(partition, region, id string) string {
	return "arn:" + partition + ":lambda:" + region + "::runtime:" + id
}

// Reference is a function as a request names it: by name, partial ARN or ARN, each with or without a
// qualifier. What the request left out is empty.
type Reference struct {
	Partition string
	Region    string
	Account   string
	Name      string
	Qualifier string
}

// ParseReference takes the forms of the FunctionName parameter
// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html): "name", "name:qualifier",
// "123456789012:function:name", "123456789012:name", "us-east-1:123456789012:function:name" and the full ARN.
// ok is false for anything else. The model's pattern has usually been checked before.
func ParseReference(s string) (r Reference, ok bool) {
	rest := s
	if arn, found := strings.CutPrefix(rest, "arn:"); found {
		partition, after, more := strings.Cut(arn, ":")
		service, tail, moreStill := strings.Cut(after, ":")
		if !more || !moreStill || service != "lambda" || !strings.HasPrefix(partition, "aws") {
			return Reference{}, false
		}
		r.Partition, rest = partition, tail
	}
	parts := strings.Split(rest, ":")
	if len(parts) > 1 && regionPattern.MatchString(parts[0]) {
		r.Region, parts = parts[0], parts[1:]
	}
	if len(parts) > 1 && accountPattern.MatchString(parts[0]) {
		r.Account, parts = parts[0], parts[1:]
	}
	if r.Partition != "" && (r.Region == "" || r.Account == "") {
		return Reference{}, false
	}
	if len(parts) > 1 && parts[0] == "function" {
		parts = parts[1:]
	} else if r.Partition != "" {
		return Reference{}, false
	}
	switch len(parts) {
	case 2:
		r.Qualifier = parts[1]
		if !qualifierPattern.MatchString(r.Qualifier) {
			return Reference{}, false
		}
		fallthrough
	case 1:
		r.Name = parts[0]
		return r, namePattern.MatchString(r.Name)
	default:
		return Reference{}, false
	}
}

var (
	regionPattern    = regexp.MustCompile(`^(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d$`)
	accountPattern   = regexp.MustCompile(`^\d{12}$`)
	namePattern      = regexp.MustCompile(`^[a-zA-Z0-9-_]+$`)
	qualifierPattern = regexp.MustCompile(`^(\$LATEST|[a-zA-Z0-9-_]+)$`)
)

// Resolve turns a reference into the function it names for a caller in the given partition, account and
// region, joined with the request's own Qualifier parameter. It refuses, in AWS's words, another region's
// function, two different qualifiers and names that are too long.
func (r Reference) Resolve(caller ID, qualifier string) (ID, string, error) {
	if r.Region != "" && r.Region != caller.Region {
		return ID{}, "", Errorf(ErrResourceNotFound,
			"Functions from '%s' are not reachable in this region ('%s')", r.Region, caller.Region)
	}
	if len(r.Name) > MaxNameLength {
		return ID{}, "", Errorf(ErrInvalidParameterValue, "1 validation error detected: Value '%s' at "+
			"'functionName' failed to satisfy constraint: Member must have length less than or equal to %d",
			r.Name, MaxNameLength)
	}
	if r.Qualifier != "" && qualifier != "" && r.Qualifier != qualifier {
		return ID{}, "", Errorf(ErrInvalidParameterValue,
			"The derived qualifier from the function name does not match the specified qualifier.")
	}
	id := ID{Partition: caller.Partition, Region: caller.Region, Account: caller.Account, Name: r.Name}
	if r.Account != "" {
		id.Account = r.Account
	}
	if qualifier == "" {
		qualifier = r.Qualifier
	}
	return id, qualifier, nil
}

// RoleARN is an execution role's ARN, taken apart.
type RoleARN struct {
	Partition string
	Account   string
	// Name is the role's name without its path.
	Name string
}

// ParseRoleARN takes arn:aws:iam::123456789012:role/path/name apart.
func ParseRoleARN(s string) (RoleARN, error) {
	parts := strings.SplitN(s, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" || !strings.HasPrefix(parts[5], "role/") {
		return RoleARN{}, fmt.Errorf("function: %q is not a role ARN", s)
	}
	return RoleARN{Partition: parts[1], Account: parts[4], Name: parts[5][strings.LastIndexByte(parts[5], '/')+1:]}, nil
}
