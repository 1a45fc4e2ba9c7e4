package authorization

import (
	"slices"
	"strings"
)

// logsRules: CloudWatch Logs checks every operation on a log group against a stream in it, an empty one where the
// request names none, which is why policies end in ":*".
func logsRules() map[string]rule {
	return map[string]rule{
		"":                      {question: logsResource, more: otherGroups},
		"PutSubscriptionFilter": {question: logsResource, more: subscribedFunction},
	}
}

// subscribedFunction asks for the invocation of the function that log events shall go to. On AWS the function's resource
// policy says that CloudWatch Logs may invoke it; as long as functions have none here, whoever subscribes them must be
// allowed to.
func subscribedFunction(x *exchange, _ *question) []question {
	destination, _ := x.in.text("DestinationArn")
	return []question{{action: "lambda:InvokeFunction", resource: destination}}
}

func logsResource(x *exchange, q *question) {
	x.tagging(q)
	stream, _ := x.in.text("LogStreamName")
	for _, member := range []string{"LogGroupName", "LogGroupIdentifier", "LogGroupArn", "ResourceArn", "ResourceIdentifier"} {
		if group, ok := x.in.text(member); ok {
			q.resource = x.logGroup(group, stream)
			return
		}
	}
	if groups := x.groups(); len(groups) > 0 {
		q.resource = x.logGroup(groups[0], "")
		return
	}
	if x.in.has("LogGroupNamePrefix") {
		q.resource = x.logGroup("", "")
	}
}

// groups are the log groups of an operation that is about several.
func (x *exchange) groups() []string {
	return slices.Concat(x.in.texts("LogGroupIdentifiers"), x.in.texts("LogGroupNames"))
}

// otherGroups asks for every group that was not asked for yet, also where a request names groups in two ways.
func otherGroups(x *exchange, asked *question) []question {
	var questions []question
	for _, group := range x.groups() {
		if resource := x.logGroup(group, ""); resource != asked.resource {
			questions = append(questions, question{action: asked.action, resource: resource})
		}
	}
	return questions
}

// logGroup is the ARN that is checked for a group's name or ARN. ARNs of other things stay as they are.
func (x *exchange) logGroup(group, stream string) string {
	if !strings.HasPrefix(group, "arn:") {
		return x.arn("logs", "log-group:"+group+":log-stream:"+stream)
	}
	if !strings.Contains(group, ":log-group:") || strings.Contains(group, ":log-stream:") {
		return group
	}
	return strings.TrimSuffix(group, ":*") + ":log-stream:" + stream
}
