package environment

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestStatesAreDrawn compares docs/states.md with the legal moves.
func TestStatesAreDrawn(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "states.md"))
	if err != nil {
		t.Fatal(err)
	}
	var drawn, legal []string
	for _, move := range regexp.MustCompile(`(?m)^    (\w+) --> (\w+)`).FindAllStringSubmatch(string(text), -1) {
		drawn = append(drawn, strings.ToLower(move[1]+" to "+move[2]))
	}
	for from, all := range moves {
		for _, to := range all {
			if from != to {
				legal = append(legal, strings.ReplaceAll(from.String(), " ", "")+" to "+strings.ReplaceAll(to.String(), " ", ""))
			}
		}
	}
	slices.Sort(drawn)
	slices.Sort(legal)
	if diff := cmp.Diff(legal, drawn); diff != "" {
		t.Errorf("docs/states.md (+) draws other moves than are legal (-):\n%s", diff)
	}
}
