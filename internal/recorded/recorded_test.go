package recorded

import (
	"encoding/json"
	"testing"
)

func parse(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDiff(t *testing.T) {
	const want = `{"Arn":"arn:<partition>:lambda:<region>:111111111111:function:<function-name:1>","Size":"<code-size>","Modified":"date","State":"Active","List":[1]}`
	const same = `{"Arn":"arn:aws:lambda:us-east-1:000000000000:function:f","Size":12,"Modified":"2024","State":"Active","List":[1]}`
	if diff := Diff(parse(t, want), parse(t, same)); diff != nil {
		t.Errorf("differs: %q", diff)
	}
	for name, got := range map[string]string{
		"missing":     `{"Size":12,"Modified":"2024","State":"Active","List":[1]}`,
		"more":        `{"Arn":"arn:aws:lambda:r:a:function:f","Size":12,"Modified":"2024","State":"Active","List":[1],"New":1}`,
		"value":       `{"Arn":"arn:aws:lambda:r:a:function:f","Size":12,"Modified":"2024","State":"Failed","List":[1]}`,
		"placeholder": `{"Arn":"aws:lambda:r:a:function:f","Size":12,"Modified":"2024","State":"Active","List":[1]}`,
		"list":        `{"Arn":"arn:aws:lambda:r:a:function:f","Size":12,"Modified":"2024","State":"Active","List":[1,2]}`,
	} {
		if diff := Diff(parse(t, want), parse(t, got)); len(diff) != 1 {
			t.Errorf("%s: %q", name, diff)
		}
	}
}
