package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hotaru/function"
	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
	"hotaru/sandbox/oci"
	"hotaru/sandbox/process"
)

// drivers are the sandbox drivers that are open, and who gets which.
type drivers struct {
	open map[string]sandbox.Driver // by name
	// usual is for every account that accounts does not name; allowed are those that a function's tag may name
	// besides its account's.
	usual    string
	accounts map[string]string
	allowed  []string
	// preparers are those of the drivers that may keep parts of sandboxes ready.
	preparers []sandbox.Preparer
}

// prepared is for how many sandboxes there are parts, and for how many there will be.
func (d *drivers) prepared() (ready, coming int) {
	for _, preparer := range d.preparers {
		r, c := preparer.Prepared()
		ready, coming = ready+r, coming+c
	}
	return ready, coming
}

// Hulls are bounded by number, and by a part of the memory for environments.
const (
	mostHulls = 64
	hullPart  = 64
)

// hulls is how many sandboxes the driver may prepare. Their memory is taken for good, so that nobody has to wait until they
// have left.
func (d *Daemon) hulls() int {
	if d.config.ReadyBlanks < 0 {
		return 0 // who wants nothing kept ready
	}
	most := mostHulls
	if limit := d.budget.Limit(); limit > 0 {
		most = int(min(mostHulls, limit/hullPart/namespace.HullBytes))
	}
	d.budget.Reserve(int64(most) * namespace.HullBytes)
	return most
}

// openDrivers opens every driver that the configuration names, and sweeps each, also those that are used no more.
func (d *Daemon) openDrivers(ctx context.Context) error {
	usual := d.config.Sandbox
	if usual == "auto" {
		usual = "namespace" // never none: who wants no isolation says so
	}
	for account := range d.config.AccountSandbox {
		if len(account) != 12 || strings.Trim(account, "0123456789") != "" {
			return fmt.Errorf("daemon: sandbox of an account: %q is no account", account)
		}
	}
	d.drivers = drivers{
		open: map[string]sandbox.Driver{}, usual: usual, accounts: d.config.AccountSandbox, allowed: d.config.AllowedSandboxes,
	}
	wanted := append([]string{usual}, slices.Concat(slices.Sorted(maps.Values(d.config.AccountSandbox)), d.config.AllowedSandboxes)...)
	for _, name := range wanted {
		if d.drivers.open[name] != nil {
			continue
		}
		driver, err := d.openDriver(name)
		if err != nil {
			return err
		}
		if bounder, ok := driver.(sandbox.MemoryBounder); ok {
			d.budget.Watch(bounder.MemoryLeft)
		}
		if preparer, ok := driver.(sandbox.Preparer); ok {
			d.drivers.preparers = append(d.drivers.preparers, preparer)
		}
		if d.metrics != nil {
			driver = d.metrics.Driver(driver)
		}
		d.drivers.open[name] = driver
		d.onClose(func(context.Context) error { return driver.Close() })
		if err := driver.Sweep(ctx); err != nil {
			return fmt.Errorf("daemon: remove what an earlier process left: %w", err)
		}
	}
	d.driver = d.drivers.open[usual]
	return d.sweepUnused(ctx)
}

// stateDirs are the directories of the drivers that leave something when they die.
func (d *Daemon) stateDirs() map[string]string {
	return map[string]string{
		"namespace": filepath.Join(d.config.DataDir, "sandboxes"), "oci": filepath.Join(d.config.DataDir, "sandboxes-oci"),
	}
}

// openDriver opens a sandbox driver.
func (d *Daemon) openDriver(name string) (sandbox.Driver, error) {
	dir, isolates := d.stateDirs()[name]
	if isolates && os.Geteuid() != 0 {
		return nil, errors.New("daemon: isolating functions takes root, if only of a user namespace: hotaru serve makes one")
	}
	var driver sandbox.Driver
	var err error
	switch name {
	case "namespace":
		driver, err = namespace.New(namespace.Config{
			StateDir: dir, DiskReserve: d.config.DiskReserve, MemoryBytes: d.budget.Wall(),
			Network: d.network, NoNetwork: d.noNetwork, Log: d.logger,
			Hulls: d.hulls(), MemoryShort: d.budget.Short,
		})
	case "oci":
		driver, err = oci.New(oci.Config{
			StateDir: dir, Runtime: d.config.OCIRuntime, SearchPath: d.config.SearchPath, DiskReserve: d.config.DiskReserve,
			MemoryBytes: d.budget.Wall(), Log: d.logger,
			Network: d.network, NoNetwork: d.noNetwork,
		})
	case "process":
		return process.New(d.logger), nil
	default:
		return nil, fmt.Errorf("daemon: no sandbox driver %q", name)
	}
	if err != nil {
		return nil, fmt.Errorf("daemon: %w", err)
	}
	for _, c := range driver.Capabilities() {
		if !c.Enforced && !d.chosen(c.Boundary) {
			d.logger.Warn("not enforced on this host", "sandbox", name, "boundary", c.Boundary, "reason", c.Reason, "mend", c.Mend)
		}
	}
	return driver, nil
}

// sweepUnused removes what a driver left that this process does not use. The namespace driver can, for any of them:
// what is left is in its control groups and directories.
func (d *Daemon) sweepUnused(ctx context.Context) error {
	for name, dir := range d.stateDirs() {
		if d.drivers.open[name] != nil || os.Geteuid() != 0 {
			continue
		}
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		driver, err := namespace.New(namespace.Config{StateDir: dir, DiskReserve: d.config.DiskReserve, Log: d.logger})
		if err == nil {
			err = errors.Join(driver.Sweep(ctx), driver.Close())
		}
		if err != nil {
			return fmt.Errorf("daemon: remove what an earlier process left in %s: %w", dir, err)
		}
	}
	return nil
}

// mountImages says whether code may be images: any function may be given any driver, and every one must show the same.
func (d *drivers) mountImages() bool {
	for _, driver := range d.open {
		if !sandbox.MountsImages(driver) {
			return false
		}
	}
	return true
}

// ofAccount names the driver that an account has.
func (d *drivers) ofAccount(account string) string {
	if name, set := d.accounts[account]; set {
		return name
	}
	return d.usual
}

// choose names the driver of a function with the tags. A choice that the operator does not allow is an error, and
// never another driver: what is less than its owner asked for does not run.
func (d *drivers) choose(id function.ID, tags map[string]string) (string, error) {
	usual := d.ofAccount(id.Account)
	name, chosen := tags[function.SandboxTag]
	if !chosen {
		return usual, nil
	}
	if name == usual || slices.Contains(d.allowed, name) {
		return name, nil
	}
	return "", fmt.Errorf("the tag %s may be %s here, not %q", function.SandboxTag,
		strings.Join(slices.Compact(slices.Sorted(slices.Values(append([]string{usual}, d.allowed...)))), " or "), name)
}

// ownTags says what the tags may be that choose how functions run.
type ownTags struct{ drivers *drivers }

// CheckTag implements control.OwnTags.
func (o ownTags) CheckTag(id function.ID, key, value string) error {
	if key == function.EgressTag {
		return checkEgress(value)
	}
	_, err := o.drivers.choose(id, map[string]string{key: value})
	return err
}

// enforces says whether a driver has a boundary or an ability.
func enforces(driver sandbox.Driver, boundary sandbox.Boundary) bool {
	for _, c := range driver.Capabilities() {
		if c.Boundary == boundary {
			return c.Enforced
		}
	}
	return false
}
