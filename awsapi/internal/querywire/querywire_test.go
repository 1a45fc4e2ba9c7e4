package querywire

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/awsapi/iam"
	"hotaru/awsapi/internal/plan"
)

func rolePlan(t testing.TB) *plan.Plan {
	t.Helper()
	op, _ := iam.Service.Operation("CreateRole")
	p, err := plan.NewSet(iam.Service).Compile(op.Input, reflect.TypeFor[iam.CreateRoleRequest]())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"escape in a name":  "%zz=1",
		"escape in a value": "a=%",
		"too deep":          strings.Repeat("a.", maxDepth+1) + "b=1",
		"too many":          strings.Repeat("a=b&", maxParameters+1),
	} {
		if _, err := Parse(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecode(t *testing.T) {
	p := rolePlan(t)
	for _, bad := range []string{"MaxSessionDuration=x", "MaxSessionDuration=1.5", "RoleName=%FF"} {
		f, err := Parse(bad)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Decode(p, reflect.New(p.Type).Elem()); !errors.As(err, new(*ValueError)) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	f, err := Parse("Action=CreateRole&RoleName=r+1&Tags.member.10.Key=last&Tags.member.2.Key=a&Tags.member.2.Value=%3D&Tags.member.x.Key=no&&Unknown.a.b=c&RoleName=second")
	if err != nil {
		t.Fatal(err)
	}
	var got iam.CreateRoleRequest
	if err := f.Decode(p, reflect.ValueOf(&got).Elem()); err != nil {
		t.Fatal(err)
	}
	want := iam.CreateRoleRequest{RoleName: new("r 1"), Tags: []iam.Tag{{Key: new("a"), Value: new("=")}, {Key: new("last")}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("Action=CreateRole&RoleName=r&Tags.member.1.Key=a&Tags=&MaxSessionDuration=1")
	p := rolePlan(f)
	f.Fuzz(func(t *testing.T, text string) {
		form, err := Parse(text)
		if err != nil {
			return
		}
		var role iam.CreateRoleRequest
		if err := form.Decode(p, reflect.ValueOf(&role).Elem()); err != nil {
			return
		}
		if n := strings.Count(text, "&") + 1; len(role.Tags) > n {
			t.Errorf("%d tags of %d parameters", len(role.Tags), n)
		}
	})
}
