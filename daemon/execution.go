package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"hotaru/gateway"
	"hotaru/pki"
	"hotaru/runtime"
	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
	"hotaru/sandbox/process"
)

// openExecution opens what code runs in, and removes what a Hotaru that died with this data directory left
// running.
func (d *Daemon) openExecution(ctx context.Context) (err error) {
	dir := d.config.DataDir
	if d.ca, err = pki.Open(dir, pki.Options{}); err != nil {
		return err
	}
	if err := d.openLoopback(); err != nil {
		return err
	}
	d.runtimes = &runtime.Catalog{
		Search:   runtime.Search{Path: d.config.SearchPath, Homes: d.config.HomeDirs},
		StateDir: filepath.Join(dir, "runtimes"), Nearest: d.config.Runtimes == "nearest",
	}
	if d.loopback.tls != nil {
		d.runtimes.CA = d.ca.PEM()
	}
	if d.driver, err = d.openDriver(filepath.Join(dir, "sandboxes")); err != nil {
		return err
	}
	if lacking := d.runtimes.Lacking(); len(lacking) > 0 && d.driver.Name() != "process" {
		d.logger.Warn("functions will miss what Lambda has and this machine lacks", "lacking", strings.Join(lacking, ", "))
	}
	if d.metrics != nil {
		d.driver = d.metrics.Driver(d.driver)
	}
	d.onClose(func(context.Context) error {
		err := d.driver.Close()
		d.loopback.serving.Wait() // it ends with the sandboxes
		return err
	})
	if err := d.driver.Sweep(ctx); err != nil {
		return fmt.Errorf("daemon: remove what an earlier process left: %w", err)
	}
	if err := d.openBases(ctx); err != nil {
		return err
	}
	d.inside = gateway.NewServer(nil, d.logger)
	d.loopback.aws = d.inside
	d.onClose(func(context.Context) error { return d.inside.Close() })
	return nil
}

// openLoopback decides what environments find on their loopback, and whom they trust.
func (d *Daemon) openLoopback() error {
	d.loopback = &loopback{hostNetwork: d.config.Sandbox == "process"}
	switch d.config.AWSNames {
	case "hotaru":
		d.loopback.tls = d.ca.TLSConfig(servedInside)
	case "real":
	default:
		return fmt.Errorf("daemon: AWS's names are hotaru's or real, not %q", d.config.AWSNames)
	}
	return nil
}

// openDriver opens the sandbox driver that the configuration names. auto is the strongest that works here, and
// never none: who wants no isolation says so.
func (d *Daemon) openDriver(dir string) (sandbox.Driver, error) {
	switch d.config.Sandbox {
	case "auto", "namespace":
		if os.Geteuid() != 0 {
			return nil, errors.New("daemon: isolating functions takes root in this version: run hotaru serve as root, " +
				"or with --sandbox=process, which does not isolate them at all")
		}
		driver, err := namespace.New(namespace.Config{StateDir: dir, DiskReserve: d.config.DiskReserve, Log: d.logger})
		if err != nil {
			return nil, fmt.Errorf("daemon: %w", err)
		}
		for _, c := range driver.Capabilities() {
			if !c.Enforced {
				d.logger.Warn("not enforced on this host", "boundary", c.Boundary, "reason", c.Reason, "mend", c.Mend)
			}
		}
		return driver, nil
	case "process":
		return process.New(d.logger), nil
	default:
		return nil, fmt.Errorf("daemon: no sandbox driver %q", d.config.Sandbox)
	}
}
