package authorization

import (
	"reflect"

	"hotaru/awsapi"
	"hotaru/policy"
)

// rule says what an operation needs permission for.
type rule struct {
	// free: the operation needs no permission, or its handler asks for itself.
	free   bool
	action string
	// question completes what is asked: the resource, tags and condition keys. nil leaves the resource "*".
	question func(*exchange, *question)
	// more is what is needed besides; it is told what was asked first.
	more func(*exchange, *question) []question
}

// rulesOf are the rules of a service's operations; an empty name stands for all that have none of their own.
func rulesOf(service string) map[string]rule {
	switch service {
	case "lambda":
		return lambdaRules()
	case "iam":
		return iamRules()
	case "sts":
		return stsRules()
	case "logs":
		return logsRules()
	}
	return nil
}

// ruleOf is one operation's. The vendor of its action is what requests are signed for.
func ruleOf(service *awsapi.Service, operation string) rule {
	rules := rulesOf(service.Name)
	r, ok := rules[operation]
	if !ok {
		r = rules[""]
	}
	if r.action == "" {
		vendor := service.SigningName
		if vendor == "" {
			vendor = service.Name
		}
		r.action = vendor + ":" + operation
	}
	return r
}

// exchange is a call with its input.
type exchange struct {
	a    *Authorizer
	call *awsapi.Call
	in   fields
}

// arn makes an ARN in the place where the call is made.
func (x *exchange) arn(service, resource string) string {
	s := x.call.Scope
	return "arn:" + s.Partition + ":" + service + ":" + s.Region + ":" + s.Account + ":" + resource
}

// fields reads an operation's input by the names of its members, whatever its type.
type fields struct{ reflect.Value }

func fieldsOf(in any) fields { return fields{reflect.ValueOf(in).Elem()} }

// text is a string member; ok is false where the input has no such member or the request does not set it.
func (f fields) text(name string) (text string, ok bool) {
	v := f.FieldByName(name)
	if !v.IsValid() || v.Type() != reflect.TypeFor[*string]() || v.IsNil() {
		return "", false
	}
	return v.Elem().String(), true
}

// has says whether the input has a member of that name, set or not.
func (f fields) has(name string) bool { return f.FieldByName(name).IsValid() }

// texts is a member that is a list of strings.
func (f fields) texts(name string) []string {
	v := f.FieldByName(name)
	if !v.IsValid() || v.Type() != reflect.TypeFor[[]string]() {
		return nil
	}
	return v.Interface().([]string)
}

// tags is the member Tags: a map, or a list of structures with Key and Value.
func (f fields) tags() []policy.Tag {
	v := f.FieldByName("Tags")
	if !v.IsValid() {
		return nil
	}
	if m, ok := v.Interface().(map[string]string); ok {
		var tags []policy.Tag
		for key, value := range m {
			tags = append(tags, policy.Tag{Key: key, Value: value})
		}
		return tags
	}
	if v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.Struct {
		return nil
	}
	var tags []policy.Tag
	for i := range v.Len() {
		one := fields{v.Index(i)}
		key, _ := one.text("Key")
		value, _ := one.text("Value")
		tags = append(tags, policy.Tag{Key: key, Value: value})
	}
	return tags
}

// tagging is what most operations with tags in their input have in common.
func (x *exchange) tagging(q *question) {
	q.requestTags, q.tagKeys = x.in.tags(), x.in.texts("TagKeys")
}
