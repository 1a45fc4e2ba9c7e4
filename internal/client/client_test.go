package client

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server that ends at once is an error, and leaves nothing.
func TestLaunchOfWhatEnds(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	if _, err := Launch(t.Context(), "/bin/false", io.Discard); err == nil {
		t.Error("launched")
	}
	if _, err := Launch(t.Context(), filepath.Join(tmp, "nothing"), io.Discard); err == nil {
		t.Error("launched")
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestParseEnv(t *testing.T) {
	got := parseEnv([]byte("export AWS_ENDPOINT_URL='http://127.0.0.1:1'\nexport AWS_REGION=eu-west-1\n"))
	if got.URL != "http://127.0.0.1:1" || got.Region != "eu-west-1" {
		t.Errorf("%+v", got)
	}
}
