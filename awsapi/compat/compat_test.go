package compat

import (
	"context"
	"strings"
	"testing"

	"hotaru/awsapi"
	"hotaru/awsapi/lambda"
)

func binding() awsapi.Binding {
	return lambda.Handlers{GetAlias: func(context.Context, *lambda.GetAliasRequest) (*lambda.AliasConfiguration, error) {
		return nil, nil
	}}.Binding()
}

func TestPageRefusesPromises(t *testing.T) {
	for want, s := range map[string]Section{
		"no operation FlyToMoon":       {binding(), map[string]string{"FlyToMoon": "TestMoon"}},
		"DeleteAlias of lambda is not": {binding(), map[string]string{"DeleteAlias": "TestAlias"}},
		"0 handlers for 88":            {awsapi.Binding{Service: lambda.Service}, nil},
	} {
		if _, err := Page(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one that contains %q", err, want)
		}
	}
}

func TestPage(t *testing.T) {
	page, err := Page(Section{binding(), map[string]string{"GetAlias": "TestAlias"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"## AWS Lambda\n", "1 of 88 operations are built, 1 of them are shown by a test.",
		"| GetAlias | yes | `TestAlias` |\n", "| Invoke | no |  |\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if again, _ := Page(Section{binding(), map[string]string{"GetAlias": "TestAlias"}}); again != page {
		t.Error("the page differs from call to call")
	}
}
