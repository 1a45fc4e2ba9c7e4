package validate

import "hotaru/awsapi"

// quirks are where AWS's recorded words differ from what the model would say. Each entry has its reason.
type quirks struct {
	// code is the error's, where the service has its own.
	code string
	// elementsNotNull says that the words about a list's elements end with "Member must not be null".
	elementsNotNull bool
	// lists are those with other words.
	lists map[string]listWords
	// patterns are shown otherwise than the model writes them, by shape.
	patterns map[string]string
	// enums are shown otherwise than the model lists them, by shape.
	enums map[string][]string
	// later are members, as Structure.Member, whose own constraints the service checks itself, with other words.
	later map[string]bool
	// last is a structure's member that is reported after the others.
	last map[string]string
}

// listWords without an enum are the ordinary ones without "Member must not be null".
type listWords struct{ enum []string }

// pattern is the expression that a message shows.
func (q *quirks) pattern(s *awsapi.Shape) string {
	if shown, ok := q.patterns[s.Name]; ok {
		return shown
	}
	return s.Pattern
}

// enum are the values that a message shows.
func (q *quirks) enum(s *awsapi.Shape) []string {
	if shown, ok := q.enums[s.Name]; ok {
		return shown
	}
	return hashOrder(s.Enum)
}

func (c *checker) quirks() *quirks {
	switch c.service.Name {
	case "lambda":
		return &lambdaQuirks
	case "logs":
		return &logsQuirks
	default:
		return &noQuirks
	}
}

var noQuirks quirks

// logsQuirks: CloudWatch Logs calls every wrong parameter the same.
var logsQuirks = quirks{code: "InvalidParameterException"}

// lambdaQuirks come from recorded answers of Lambda itself, November 2025.
var lambdaQuirks = quirks{
	elementsNotNull: true,
	lists: map[string]listWords{
		// The lists of VpcConfig are older than the rule.
		"SubnetIds":        {},
		"SecurityGroupIds": {},
		// Of a layer's runtimes Lambda lists those that are not withdrawn, without the brackets of a constraint.
		"CompatibleRuntimes": {enum: []string{
			"nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x", "nodejs22.x", "java25",
			"python3.10", "python3.11", "java21", "ruby3.3", "ruby3.4", "ruby3.2", "python3.8", "python3.9", "java17",
			"nodejs16.x", "dotnet10", "dotnet8", "java11", "dotnet6", "nodejs18.x", "provided.al2", "java8.al2",
		}},
	},
	patterns: map[string]string{
		// The model has one more pair of parentheses around it.
		"LayerVersionArn": `(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}` +
			`:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)`,
	},
	enums: map[string][]string{
		// Lambda knows runtimes that the model does not, and their order is not that of a plain set.
		"Runtime": {
			"ruby3.5", "ruby2.6", "dotnetcore1.0", "python3.7", "nodejs8.10", "nasa", "ruby2.7",
			"python2.7-greengrass", "dotnetcore2.0", "python3.8", "java21", "dotnet6", "dotnetcore2.1", "python3.9",
			"java11", "nodejs6.10", "provided", "dotnetcore3.1", "dotnet8", "java25", "java17", "nodejs", "nodejs4.3",
			"java8.al2", "go1.x", "dotnet10", "nodejs20.x", "go1.9", "byol", "nodejs10.x", "provided.al2023",
			"nodejs22.x", "python3.10", "java8", "nodejs12.x", "python3.11", "nodejs24.x", "nodejs8.x", "python3.12",
			"nodejs14.x", "nodejs8.9", "nodejs26.x", "python3.13", "python3.14", "nodejs16.x", "python3.15",
			"provided.al2", "nodejs4.3-edge", "nodejs18.x", "ruby3.2", "python3.4", "ruby3.3", "ruby3.4", "ruby2.5",
			"python3.6", "python2.7",
		},
	},
	later: map[string]bool{
		// An unknown runtime is an InvalidParameterValueException of the service, which also speaks of ARNs.
		"CreateFunctionRequest.Runtime":              true,
		"UpdateFunctionConfigurationRequest.Runtime": true,
	},
	last: map[string]string{
		// Lambda names a layer's runtimes before its architectures.
		"PublishLayerVersionRequest": "CompatibleArchitectures",
	},
}

// hashOrder puts strings in the order in which Java's HashSet yields them, which is the order of AWS's messages.
func hashOrder(values []string) []string {
	buckets := 16
	for len(values) > buckets*3/4 {
		buckets *= 2
	}
	table := make([][]string, buckets)
	for _, v := range values {
		h := javaHash(v)
		at := (h ^ h>>16) & uint32(buckets-1)
		table[at] = append(table[at], v)
	}
	ordered := make([]string, 0, len(values))
	for _, bucket := range table {
		ordered = append(ordered, bucket...)
	}
	return ordered
}

// javaHash is String.hashCode for ASCII text.
func javaHash(s string) uint32 {
	var h uint32
	for i := 0; i < len(s); i++ {
		h = h*31 + uint32(s[i])
	}
	return h
}
