package process

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/sandbox"
)

func TestPaths(t *testing.T) {
	p := newPaths(sandbox.Root{Dir: "/r", Binds: []sandbox.Bind{{Source: "/host/lang", Target: "/var/lang"}}},
		[]sandbox.Bind{{Source: "/host/code", Target: "/var/task"}, {Source: "/host/lib", Target: "/var/task/lib"}})
	for inside, want := range map[string]string{
		"relative":            "relative",
		"/bin/sh":             "/bin/sh",
		"/var/task":           "/host/code",
		"/var/task/app.py":    "/host/code/app.py",
		"/var/task/../task/x": "/host/code/x",
		"/var/tasks":          "/var/tasks",
		"/var/task/lib/a.so":  "/host/lib/a.so", // the later bind covers the earlier
		"/var/lang/bin/node":  "/host/lang/bin/node",
	} {
		if got := p.host(inside); got != want {
			t.Errorf("%s is %s, want %s", inside, got, want)
		}
	}
	env := p.env([]string{"PATH=/var/lang/bin:/bin", "LAMBDA_TASK_ROOT=/var/task", "TEXT=see /var/task", "EMPTY=", "odd"})
	want := []string{"PATH=/host/lang/bin:/bin", "LAMBDA_TASK_ROOT=/host/code", "TEXT=see /var/task", "EMPTY=", "odd"}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Error(diff)
	}
	if env := p.env(nil); env == nil {
		t.Error("nil would mean to inherit")
	}
	p.add([]sandbox.Bind{{Source: "/host/late", Target: "/opt"}})
	if got := p.host("/opt/x"); got != "/host/late/x" {
		t.Errorf("/opt/x is %s", got)
	}
}
