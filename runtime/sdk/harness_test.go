package sdk_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"hotaru/runtime/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write makes files below a directory; names that end in * may be run.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		mode := os.FileMode(0o600)
		if name[len(name)-1] == '*' {
			name, mode = name[:len(name)-1], 0o700
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// filled puts files into an SDK.
func filled(t *testing.T, files map[string]string) sdk.Fill {
	return func(_ context.Context, dir string) error {
		write(t, dir, files)
		return nil
	}
}

// boto is a small SDK of a version. What Python compiles differs from one time to the next.
func boto(version string) map[string]string {
	return map[string]string{
		"boto3-" + version + ".dist-info/METADATA": "Name: boto3\n", "boto3/__init__.py": "version = '" + version + "'\n",
		"boto3/run*": "#!/bin/sh\n", "boto3/__pycache__/__init__.cpython-311.pyc": "of " + rand.Text(),
	}
}
