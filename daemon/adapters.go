package daemon

import (
	"context"
	"fmt"
	"time"

	"hotaru/awsapi"
	"hotaru/code"
	"hotaru/credential"
	"hotaru/function"
	"hotaru/gateway"
	"hotaru/services/iam"
)

// locations makes the URLs of deployment packages, signed by the root credential.
type locations struct{ signer credential.Credential }

// Location implements control.Locations.
func (l locations) Location(baseURL string, id function.ID, digest string, now time.Time) (string, error) {
	return gateway.Location(baseURL, id.Account, id.Region, id.Name, digest, l.signer, now)
}

// roles is what Lambda asks IAM.
type roles struct{ iam *iam.Service }

// Assumable implements control.Roles.
func (r roles) Assumable(ctx context.Context, account, name, service string) (bool, error) {
	return r.iam.Assumable(awsapi.Scope{Partition: Partition, Account: account}, name, service), nil
}

// sweepInterval is how often deployment packages that nobody needs any more are looked for.
const sweepInterval = time.Hour

// keepSweeping removes unused deployment packages now and then, until the daemon stops.
func (d *Daemon) keepSweeping() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-ticker.C:
			if err := d.sweepPackages(context.Background()); err != nil {
				d.logger.Error("sweep", "error", err)
			}
		}
	}
}

// sweepPackages removes the packages of functions and layers that nothing needs and no environment uses any more.
func (d *Daemon) sweepPackages(ctx context.Context) error {
	needed := map[string]bool{}
	need := func(v *function.Version) {
		needed[v.Code.Digest] = true
		layers := v.LayerDigests()
		for _, digest := range append(layers, code.MergedDigest(layers)) {
			needed[digest] = true
		}
	}
	if d.pool != nil {
		for v := range d.pool.Versions() {
			need(v)
		}
	}
	for v := range d.functions.Versions() {
		need(v)
	}
	for digest := range d.layers.Digests() {
		needed[digest] = true
	}
	if err := d.packages.Sweep(ctx, func(digest string) bool { return needed[digest] }); err != nil {
		return fmt.Errorf("daemon: remove unused deployment packages: %w", err)
	}
	return nil
}
