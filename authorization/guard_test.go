package authorization

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"hotaru/awsapi"
	"hotaru/awsapi/lambda"
	"hotaru/credential"
	"hotaru/policy"
)

const (
	account = "123456789012"
	roleID  = "AROAAAAAAAAAAAAAAAAAA"
)

// one is a directory with one role.
type one struct{ role policy.Identity }

func (o one) Role(_ awsapi.Scope, name string) (policy.Identity, bool) {
	return o.role, name == "worker"
}
func (one) User(awsapi.Scope, string) (policy.Identity, bool)  { return policy.Identity{}, false }
func (one) Group(awsapi.Scope, string) (policy.Identity, bool) { return policy.Identity{}, false }
func (one) Used(awsapi.Scope, string, string, time.Time)       {}
func (one) Managed(awsapi.Scope, string) (*policy.Document, []policy.Tag, bool) {
	return nil, nil, false
}

// sessions are what tokens were found to hold.
type sessions map[string]*credential.Session

func (s sessions) Session(id string) (*credential.Session, bool) {
	found, ok := s[id]
	return found, ok
}

func document(t testing.TB, text string) *policy.Document {
	t.Helper()
	d, err := policy.CheckIdentity(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// worker is an Authorizer for a role's session that has a policy, and the context of its call.
func worker(t testing.TB, text string) (*Authorizer, *awsapi.Call) {
	a := &Authorizer{
		Directory: one{policy.Identity{ARN: "arn:aws:iam::" + account + ":role/worker", ID: roleID,
			Policies: []*policy.Document{document(t, text)}}},
		Sessions: sessions{"ASIAEXAMPLE": &credential.Session{}},
	}
	return a, &awsapi.Call{
		Scope: awsapi.Scope{Partition: "aws", Account: account, Region: "us-east-1"},
		Caller: awsapi.Identity{Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/worker/f",
			UserID: roleID + ":f", AccessKeyID: "ASIAEXAMPLE"},
	}
}

// logsInput has the members that log operations have.
type logsInput struct {
	LogGroupName, LogStreamName, LogGroupIdentifier, LogGroupNamePrefix *string
	LogGroupIdentifiers, LogGroupNames                                  []string
}

// TestLogs: the role that every function has may write its log, and nothing else.
func TestLogs(t *testing.T) {
	a, call := worker(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:CreateLogGroup","Resource":"*"},
		{"Effect":"Allow","Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":"arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/f:*"}]}`)
	const prefix = "arn:aws:logs:us-east-1:" + account + ":log-group:"
	group := new("/aws/lambda/f")
	for _, c := range []struct {
		operation string
		in        logsInput
		denied    string
	}{
		{"PutLogEvents", logsInput{LogGroupName: group, LogStreamName: new("s")}, ""},
		{"CreateLogStream", logsInput{LogGroupName: group, LogStreamName: new("s")}, ""},
		{"CreateLogGroup", logsInput{LogGroupName: new("any")}, ""},
		{"PutLogEvents", logsInput{LogGroupName: new("/aws/lambda/g"), LogStreamName: new("s")}, prefix + "/aws/lambda/g:log-stream:s"},
		{"DeleteLogGroup", logsInput{LogGroupName: group}, prefix + "/aws/lambda/f:log-stream:"},
		{"DescribeLogGroups", logsInput{}, prefix + ":log-stream:"},
		{"CreateLogStream", logsInput{LogGroupNames: []string{"/aws/lambda/f", "/aws/lambda/g"}}, prefix + "/aws/lambda/g:log-stream:"},
		{"CreateLogStream", logsInput{LogGroupName: group, LogGroupNames: []string{"/aws/lambda/g"}}, prefix + "/aws/lambda/g:log-stream:"},
		{"CreateLogStream", logsInput{LogGroupIdentifiers: []string{prefix + "/aws/lambda/f"}}, ""},
		{"GetLogEvents", logsInput{LogGroupIdentifier: new(prefix + "x:*")}, prefix + "x:log-stream:"},
	} {
		reached := false
		b := a.Guard(awsapi.Binding{
			Service: &awsapi.Service{Name: "logs", SigningName: "logs", TargetPrefix: "Logs_20140328",
				Operations: []awsapi.Operation{{Name: c.operation}}},
			Handlers: []awsapi.Handler{{Input: reflect.TypeFor[logsInput](), Call: func(context.Context, any) (any, error) {
				reached = true
				return nil, nil
			}}},
		})
		call.Service, call.Operation = "logs", c.operation
		_, err := b.Handlers[0].Call(awsapi.WithCall(t.Context(), call), &c.in)
		if c.denied == "" {
			if err != nil || !reached {
				t.Errorf("%s: %v", c.operation, err)
			}
			continue
		}
		action := "logs:" + c.operation
		want := "User: " + call.Caller.ARN + " is not authorized to perform: " + action + " on resource: " + c.denied +
			" because no identity-based policy allows the " + action + " action"
		var e *awsapi.Error
		if !errors.As(err, &e) || e.Code != "AccessDeniedException" || e.Status != 400 || e.Message != want || reached {
			t.Errorf("%s:\n got %v\nwant %s", c.operation, err, want)
		}
	}
}

// TestUnknownCallers: whoever cannot be found may do nothing.
func TestUnknownCallers(t *testing.T) {
	for name, change := range map[string]func(*awsapi.Identity){
		"nobody":                     func(i *awsapi.Identity) { *i = awsapi.Identity{} },
		"no ARN":                     func(i *awsapi.Identity) { i.ARN = "" },
		"a session that is unknown":  func(i *awsapi.Identity) { i.AccessKeyID = "ASIAOTHER" },
		"another role":               func(i *awsapi.Identity) { i.ARN = "arn:aws:sts::" + account + ":assumed-role/other/f" },
		"an earlier role":            func(i *awsapi.Identity) { i.UserID = "AROABBBBBBBBBBBBBBBBB:f" },
		"a user who is gone":         func(i *awsapi.Identity) { i.ARN = "arn:aws:iam::" + account + ":user/alice" },
		"another kind":               func(i *awsapi.Identity) { i.ARN = "arn:aws:sts::" + account + ":federated-user/x" },
		"another account's root":     func(i *awsapi.Identity) { i.ARN, i.Account = "arn:aws:iam::999999999999:root", "999999999999" },
		"a role that is called root": func(i *awsapi.Identity) { i.ARN = "arn:aws:sts::" + account + ":assumed-role/x:root" },
	} {
		a, call := worker(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
		change(&call.Caller)
		functions := lambda.Handlers{ListFunctions: func(context.Context, *lambda.ListFunctionsRequest) (*lambda.ListFunctionsResponse, error) {
			return nil, nil
		}}
		call.Service, call.Operation = "lambda", "ListFunctions"
		for _, h := range a.Guard(functions.Binding()).Handlers {
			if !h.Built() {
				continue
			}
			if _, err := h.Call(awsapi.WithCall(t.Context(), call), h.New()); err == nil {
				t.Errorf("%s is let in", name)
			}
		}
	}
}

// BenchmarkInvoke is what the decision adds to an invocation by a role's session.
func BenchmarkInvoke(b *testing.B) {
	a, call := worker(b, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:PutLogEvents"],"Resource":"*"},
		{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:*:123456789012:function:f"}]}`)
	functions := lambda.Handlers{Invoke: func(context.Context, *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
		return nil, nil
	}}
	call.Service, call.Operation = "lambda", "Invoke"
	ctx, in := awsapi.WithCall(b.Context(), call), &lambda.InvocationRequest{FunctionName: new("f")}
	for _, h := range a.Guard(functions.Binding()).Handlers {
		if !h.Built() {
			continue
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h.Call(ctx, in); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestSubscribers: whoever subscribes a function to a log has it invoked, and must be allowed to.
func TestSubscribers(t *testing.T) {
	type input struct{ LogGroupName, DestinationArn *string }
	const prefix = "arn:aws:lambda:us-east-1:" + account + ":function:"
	a, call := worker(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"},
		{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"`+prefix+`mine"}]}`)
	call.Service, call.Operation = "logs", "PutSubscriptionFilter"
	b := a.Guard(awsapi.Binding{
		Service:  &awsapi.Service{Name: "logs", SigningName: "logs", Operations: []awsapi.Operation{{Name: "PutSubscriptionFilter"}}},
		Handlers: []awsapi.Handler{{Input: reflect.TypeFor[input](), Call: func(context.Context, any) (any, error) { return nil, nil }}},
	})
	for destination, allowed := range map[string]bool{"mine": true, "others": false, "": false} {
		in := input{LogGroupName: new("g")}
		if destination != "" {
			in.DestinationArn = new(prefix + destination)
		}
		_, err := b.Handlers[0].Call(awsapi.WithCall(t.Context(), call), &in)
		var e *awsapi.Error
		if allowed != (err == nil) || !allowed && (!errors.As(err, &e) || e.Code != "AccessDeniedException") {
			t.Errorf("%q: %v", destination, err)
		}
	}
}
