package authorization

import "strings"

// logsRules: CloudWatch Logs checks every operation on a log group against a stream in it, an empty one where the
// request names none, which is why policies end in ":*".
func logsRules() map[string]rule {
	return map[string]rule{"": {question: logsResource}}
}

func logsResource(x *exchange, q *question) {
	x.tagging(q)
	for _, member := range []string{"LogGroupArn", "LogGroupIdentifier", "ResourceArn", "ResourceIdentifier"} {
		if arn, ok := x.in.text(member); ok && strings.HasPrefix(arn, "arn:") {
			q.resource = arn
			if strings.Contains(arn, ":log-group:") && !strings.Contains(arn, ":log-stream:") {
				q.resource = strings.TrimSuffix(arn, ":*") + ":log-stream:"
			}
			return
		}
	}
	group, named := x.in.text("LogGroupName")
	if !named {
		group, named = x.in.text("LogGroupIdentifier")
	}
	if !named && !x.in.has("LogGroupNamePrefix") {
		return
	}
	stream, _ := x.in.text("LogStreamName")
	q.resource = x.arn("logs", "log-group:"+group+":log-stream:"+stream)
}
