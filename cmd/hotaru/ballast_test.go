package main

import (
	"os"
	"path/filepath"
	"testing"

	"hotaru/pool"
)

func TestBallast(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		meminfo string
		want    int
	}{
		"of a big machine":   {"MemAvailable: 8388608 kB\n", 16 << 20},
		"of a small machine": {"MemAvailable: 1048576 kB\n", 4 << 20},
		"where none is left": {"MemAvailable: 0 kB\n", 0},
		"where nobody tells": {"MemTotal: 8388608 kB\n", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			if err := os.Mkdir(filepath.Join(root, "proc"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, "proc/meminfo"), []byte(test.meminfo), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := len(newBallast(pool.Machine{Root: root})); got != test.want {
				t.Errorf("%d bytes, want %d", got, test.want)
			}
		})
	}
}
