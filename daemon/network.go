package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	"hotaru/environment"
	"hotaru/function"
	"hotaru/names"
	"hotaru/pool"
	"hotaru/sandbox"
	"hotaru/sandbox/router"
)

// openNetwork opens the functions' way to the outside. Where there can be none, functions do without, and the log says so.
func (d *Daemon) openNetwork() error {
	denied, err := networks(d.config.EgressDenied)
	if err != nil {
		return err
	}
	switch d.config.Egress {
	case "none":
		d.noNetwork = "--egress=none"
		return nil
	case "internet":
	default:
		return fmt.Errorf("daemon: egress is internet or none, not %q", d.config.Egress)
	}
	if os.Geteuid() != 0 {
		d.noNetwork = "a way to the outside takes root"
		return nil
	}
	way, err := router.New(router.Config{Denied: denied, Log: d.logger})
	if err != nil {
		d.noNetwork = err.Error()
		return nil //nolint:nilerr // the driver says so among what is not enforced
	}
	d.onClose(func(context.Context) error { return way.Close() })
	d.network, d.egress = way, sandbox.EgressInternet
	d.loopback.outside = names.NewFollowingForwarder(names.FollowResolvers(d.config.ResolvConf).Servers, names.ForwarderOptions{})
	return nil
}

// chosen says whether somebody chose that something is not there: that is no news to anybody.
func (d *Daemon) chosen(missing sandbox.Boundary) bool {
	return d.config.Egress == "none" && (missing == sandbox.BoundaryEgress || missing == sandbox.LimitNetBandwidth)
}

// networks parses networks, each with bits or a single address.
func networks(all []string) ([]netip.Prefix, error) {
	parsed := make([]netip.Prefix, len(all))
	for i, text := range all {
		if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" && !address.Is4In6() {
			parsed[i] = netip.PrefixFrom(address, address.BitLen())
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Addr().Is4In6() { // of those nothing is denied, which somebody might think it is
			return nil, fmt.Errorf("daemon: %q is no network that can be denied: ADDRESS or ADDRESS/BITS", text)
		}
		parsed[i] = prefix
	}
	return parsed, nil
}

// checkEgress says what is wrong with a value of function.EgressTag.
func checkEgress(value string) error {
	if value != function.EgressInternet && value != function.EgressNone {
		return fmt.Errorf("the tag %s may be %s or %s, not %q", function.EgressTag, function.EgressInternet, function.EgressNone, value)
	}
	return nil
}

// egressOf is how far a function's network reaches: as far as it chooses, if that is possible here.
func (m *maker) egressOf(tags map[string]string) sandbox.Egress {
	if value, chosen := tags[function.EgressTag]; chosen && value != function.EgressInternet {
		return sandbox.EgressNone
	}
	return m.egress
}

// stale says whether an environment must not take another event: its version is stale, or its function has chosen another
// network.
func (m *maker) stale(version func(*function.Version) (tags map[string]string, current bool)) pool.Stale {
	return func(env *environment.Environment) bool {
		tags, current := version(env.Version())
		return !current || m.egressOf(tags) != env.Egress()
	}
}
