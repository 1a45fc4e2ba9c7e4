package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hotaru/runtime/sdk"
)

// withSDK comes before an SDK's digest in the name of a bootstrap's directory that has one.
const withSDK = "-sdk-"

// SweepSDKs removes what runtimes had of SDKs that have been replaced or removed since. Call it when no environment of an
// earlier daemon is left, and before the first Resolve.
func (c *Catalog) SweepSDKs() error {
	dir := filepath.Join(c.StateDir, "bootstraps")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	current, err := c.SDKs.Digests()
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if _, digest, shown := strings.Cut(entry.Name(), withSDK); shown && !slices.Contains(current, digest) {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, entry.Name())))
		}
	}
	return errors.Join(errs...)
}

// SDK is what the interpreter's SDK is called in a Catalog's SDKs.
func (in *Interpreter) SDK() string { return sdk.Name(string(in.Language), in.Version) }
