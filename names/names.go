// Package names answers DNS inside execution environments: AWS's names and the environment's own lead to its
// loopback, where this installation serves, and everything else goes to the resolvers that it is given, or does not
// exist. It must not know sandboxes, functions, or what is served at the addresses it gives.
//
// What asks is user code, and what answers from outside is somebody else's server. Neither is believed: messages are
// bounded, an answer fits its question, goroutines are counted, and nothing is remembered from one question to the next.
package names

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Zone is what is known without asking anybody. It is safe for concurrent use once it is set up.
type Zone struct {
	// AWS makes AWS's names lead to the environment's loopback; else they are names like any other.
	AWS bool
	// Own are names of the environment itself, beside localhost: without a final dot, in any case of letters.
	Own []string
	// Upstream answers what is not known here; nil says that it does not exist.
	Upstream *Forwarder
}

// awsSuffixes are the domains of AWS's endpoints in all its partitions, as the SDKs have them, and the one of function
// URLs and other things that customers name.
var awsSuffixes = []string{
	"amazonaws.com", "api.aws", "on.aws",
	"amazonaws.com.cn", "api.amazonwebservices.com.cn",
	"amazonaws.eu", "api.amazonwebservices.eu",
	"c2s.ic.gov", "api.aws.ic.gov",
	"sc2s.sgov.gov", "api.aws.scloud",
	"cloud.adc-e.uk", "api.cloud-aws.adc-e.uk",
	"csp.hci.ic.gov", "api.aws.hci.ic.gov",
}

// never are names of machines' metadata services, which hand out a machine's own credentials, and domains that no
// resolver may be asked for (RFC 6761, section 6.4; RFC 7686).
var never = []string{
	"instance-data", "instance-data.ec2.internal", "metadata", "metadata.google.internal", "metadata.goog",
	"invalid", "onion",
}

// IsAWS says whether a host name, in any case of letters and with or without its final dot, is of AWS's endpoints.
func IsAWS(name string) bool { return under(canonical(name), awsSuffixes) }

// canonical is the one form in which names are compared.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// under says whether a canonical name is one of domains or below one.
func under(name string, domains []string) bool {
	for _, domain := range domains {
		if rest, ok := strings.CutSuffix(name, domain); ok && (rest == "" || strings.HasSuffix(rest, ".")) {
			return true
		}
	}
	return false
}

// knowledge is what a zone knows about a name.
type knowledge int

const (
	elsewhere knowledge = iota // ask upstream
	missing                    // it does not exist
	here                       // the loopback address
	pointer                    // the name of the loopback address
)

// look says what is known about a canonical name.
func (z *Zone) look(name string) knowledge {
	switch {
	case under(name, []string{"localhost"}), z.AWS && under(name, awsSuffixes): // RFC 6761, section 6.3
		return here
	case under(name, never):
		return missing
	}
	for _, own := range z.Own {
		if name == canonical(own) {
			return here
		}
	}
	if kind, local := reverse(name); local {
		return kind
	}
	if z.Upstream == nil {
		return missing
	}
	return elsewhere
}

// loopbackPointers are the names under which 127.0.0.1 and ::1 are looked up backwards (RFC 1035, section 3.5; RFC
// 3596, section 2.5).
const (
	loopbackPointer4 = "1.0.0.127.in-addr.arpa"
	loopbackPointer6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa"
)

// reverse knows the names of addresses that mean nothing to any resolver: loopback and link-local ones (RFC 6303).
func reverse(name string) (kind knowledge, local bool) {
	if name == loopbackPointer4 || name == loopbackPointer6 {
		return pointer, true
	}
	return missing, under(name, []string{"127.in-addr.arpa", "254.169.in-addr.arpa",
		"8.e.f.ip6.arpa", "9.e.f.ip6.arpa", "a.e.f.ip6.arpa", "b.e.f.ip6.arpa"})
}

// lifetime is how many seconds an answer of ours may be remembered.
const lifetime = 60

// records are what answers a question about a known name; none, with success, where there are others but not of that
// type. IPv6 has none: what serves listens on 127.0.0.1 alone.
func records(kind knowledge, wanted dnsmessage.Type) []dnsmessage.ResourceBody {
	switch {
	case kind == here && (wanted == dnsmessage.TypeA || wanted == dnsmessage.TypeALL):
		return []dnsmessage.ResourceBody{&dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}
	case kind == pointer && (wanted == dnsmessage.TypePTR || wanted == dnsmessage.TypeALL):
		return []dnsmessage.ResourceBody{&dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("localhost.")}}
	default:
		return nil
	}
}

// Nameservers reads the name servers of a resolv.conf file, the first three, as the C library does (resolv.conf(5)).
func Nameservers(resolvConf string) []netip.AddrPort {
	const most, port = 3, 53
	var servers []netip.AddrPort
	for line := range strings.Lines(resolvConf) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" || len(servers) == most {
			continue
		}
		if address, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(address, port))
		}
	}
	return servers
}
