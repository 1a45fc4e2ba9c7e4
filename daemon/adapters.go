package daemon

import (
	"context"
	"fmt"
	"time"

	"hotaru/awsapi"
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

// sweepPackages removes the deployment packages that no function needs any more. It runs before anything can use
// one.
func (d *Daemon) sweepPackages(ctx context.Context) error {
	needed := map[string]bool{}
	for digest := range d.functions.Digests() {
		needed[digest] = true
	}
	if err := d.packages.Sweep(ctx, func(digest string) bool { return needed[digest] }); err != nil {
		return fmt.Errorf("daemon: remove unused deployment packages: %w", err)
	}
	return nil
}
