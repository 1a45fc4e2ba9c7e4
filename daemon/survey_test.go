package daemon

import (
	"os"
	"testing"

	"hotaru/sandbox"
)

// TestSurvey: every boundary of every driver is named, and nothing is left.
func TestSurvey(t *testing.T) {
	if _, err := Survey(t.Context(), Config{Egress: "somewhere"}); err == nil {
		t.Error("an egress that is none was taken")
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	names := []string{"process"}
	if os.Geteuid() == 0 {
		names = []string{"namespace", "process", "none"}
	}
	surveyed, err := Survey(t.Context(), Config{}, names...)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range surveyed {
		if s.Sandbox != names[i] || (s.Err != nil) != (s.Sandbox == "none") {
			t.Errorf("%s: %v", s.Sandbox, s.Err)
		}
		if s.Err == nil && len(s.Capabilities) != len(sandbox.Boundaries) {
			t.Errorf("%s says %d things, want %d", s.Sandbox, len(s.Capabilities), len(sandbox.Boundaries))
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}
