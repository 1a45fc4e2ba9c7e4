package runtime_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"hotaru/runtime"
)

// TestLacking: exactly what is not there is said to be lacking, with a way to get it.
func TestLacking(t *testing.T) {
	lacking := (&runtime.Catalog{}).Lacking()
	for name, file := range map[string]string{"curl": "/usr/bin/curl", "time zones": "/usr/share/zoneinfo/America/New_York"} {
		_, err := os.Stat(file)
		said := slices.ContainsFunc(lacking, func(s string) bool { return strings.HasPrefix(s, name+" (Debian: apt-get install ") })
		if said != (err != nil) {
			t.Errorf("%s: %v; said to be lacking: %q", file, err, lacking)
		}
	}
}
