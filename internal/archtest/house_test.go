package archtest

import (
	"os"
	"testing"
)

// TestHouse holds the module itself to every rule.
func TestHouse(t *testing.T) {
	tree, err := Parse(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if tree.Module != "hotaru" || len(tree.Files) < 10 {
		t.Fatalf("this does not look like the project: module %q with %d files", tree.Module, len(tree.Files))
	}
	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			violations := rule.Check(tree)
			for _, violation := range violations {
				t.Error(violation)
			}
			if len(violations) > 0 {
				t.Log("why: " + rule.Why)
			}
		})
	}
}
