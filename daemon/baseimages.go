package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"hotaru/code/image"
	"hotaru/runtime"
	"hotaru/sandbox"
)

// openBases makes the roots of the base images, and refuses to start without one of them: a function that was
// written for an image must not meet the host's files instead.
func (d *Daemon) openBases(ctx context.Context) error {
	if len(d.config.BaseImages) == 0 {
		return nil
	}
	if !enforces(d.driver, sandbox.BoundaryFiles) {
		return fmt.Errorf("daemon: --base-image needs functions to have files of their own, which --sandbox=%s does not give them", d.driver.Name())
	}
	images, err := image.Open(filepath.Join(d.config.DataDir, "images"), image.Options{
		Keychain: d.config.RegistryKeychain, Proxy: d.config.Proxy, EROFS: d.packages.Images, Log: d.logger,
	})
	if err != nil {
		return err
	}
	var additions []image.Addition
	for _, entry := range d.runtimes.BaseEntries() {
		additions = append(additions, image.Addition(entry))
	}
	d.runtimes.Bases, d.runtimes.Driver = map[string]*runtime.Base{}, d.driver
	for _, text := range d.config.BaseImages {
		id, source, err := parseBase(text)
		if err != nil {
			return fmt.Errorf("daemon: --base-image=%s: %w", text, err)
		}
		if d.runtimes.Bases[id] != nil {
			return fmt.Errorf("daemon: --base-image=%s: there is one for the same runtimes already", text)
		}
		d.logger.Info("preparing a base image", "image", source.String())
		root, err := images.Root(ctx, source, additions)
		if err != nil {
			return fmt.Errorf("daemon: --base-image=%s: %w", text, err)
		}
		d.runtimes.Bases[id] = &runtime.Base{
			Name: source.String(), Key: root.Key, Root: sandbox.Root{Dir: root.Path, Image: d.packages.Images}, Env: root.Env,
		}
	}
	if err := images.Sweep(); err != nil {
		return err
	}
	return d.runtimes.Inspect(ctx)
}

// parseBase reads [RUNTIME=]IMAGE. A reference has no "=", and what a path has before one is no runtime's name.
func parseBase(text string) (id string, source image.Source, err error) {
	before, rest, found := strings.Cut(text, "=")
	if found && !strings.Contains(before, "/") {
		if _, known := runtime.Lookup(before); !known {
			return "", source, errors.New("what comes before = is no runtime of Lambda's")
		}
		id, text = before, rest
	}
	source, err = image.ParseSource(text)
	return id, source, err
}
