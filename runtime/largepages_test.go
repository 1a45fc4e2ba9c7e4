package runtime

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestLoadLargeRefuses(t *testing.T) {
	if err := loadLarge(filepath.Join(t.TempDir(), "program")); err == nil {
		t.Error("a program that is not there: no error")
	}
}

// TestLoadLarge has a file that was written, and so is in the page cache in whatever pages it came in, loaded twice: what
// is in it stays, and nothing stays mapped.
func TestLoadLarge(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	content := make([]byte, largeProgram+largePage+1)
	for i := range content {
		content[i] = byte(i >> 12)
	}
	if err := os.WriteFile(program, content, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := loadLarge(program); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(program)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes of %d, %v", len(got), len(content), err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil || bytes.Contains(maps, []byte(program)) {
		t.Errorf("the program is still mapped, or nobody knows: %v", err)
	}
}
