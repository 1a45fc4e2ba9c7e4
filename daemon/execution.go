package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"hotaru/gateway"
	"hotaru/pki"
	"hotaru/pool"
	"hotaru/runtime"
	"hotaru/runtime/sdk"
)

// openExecution opens what code runs in, and removes what a Hotaru that died with this data directory left
// running.
func (d *Daemon) openExecution(ctx context.Context) (err error) {
	dir := d.config.DataDir
	d.budget = pool.NewBudget(d.config.MemoryBudget, pool.Machine{}.Available)
	if d.ca, err = pki.Open(dir, pki.Options{}); err != nil {
		return err
	}
	if err := d.openLoopback(); err != nil {
		return err
	}
	d.runtimes = &runtime.Catalog{
		Search:   runtime.Search{Path: d.config.SearchPath, Homes: d.config.HomeDirs},
		StateDir: filepath.Join(dir, "runtimes"), Nearest: d.config.Runtimes == "nearest",
		SDKs: SDKs(dir),
	}
	if d.loopback.tls != nil {
		d.runtimes.CA = d.ca.PEM()
	}
	// Before the drivers: what serves sandboxes ends with them.
	d.onClose(func(context.Context) error { d.loopback.serving.Wait(); return nil })
	if err := d.openNetwork(); err != nil {
		return err
	}
	if err := d.openDrivers(ctx); err != nil {
		return err
	}
	if err := d.runtimes.SweepSDKs(); err != nil {
		return err
	}
	if lacking := d.runtimes.Lacking(); len(lacking) > 0 && d.driver.Name() != "process" {
		d.logger.Warn("functions will miss what Lambda has and this machine lacks", "lacking", strings.Join(lacking, ", "))
	}
	d.packages.Images = d.config.EROFS == "auto" && d.drivers.mountImages()
	if err := d.openBases(ctx); err != nil {
		return err
	}
	d.inside = gateway.NewServer(nil, d.logger)
	d.loopback.aws = d.inside
	d.onClose(func(context.Context) error { return d.inside.Close() })
	return nil
}

// SDKs is where the Hotaru of a data directory has AWS's SDKs for its runtimes. It takes what is there when it starts.
func SDKs(dataDir string) sdk.Store { return sdk.Store{Dir: filepath.Join(dataDir, "sdk")} }

// openLoopback decides what environments find on their loopback, and whom they trust.
func (d *Daemon) openLoopback() error {
	d.loopback = &loopback{}
	switch d.config.AWSNames {
	case "hotaru":
		d.loopback.tls = d.ca.TLSConfig(servedInside)
	case "real":
	default:
		return fmt.Errorf("daemon: AWS's names are hotaru's or real, not %q", d.config.AWSNames)
	}
	return nil
}
