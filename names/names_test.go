package names

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

func TestIsAWS(t *testing.T) {
	for name, want := range map[string]bool{
		"": false, ".": false, "com": false, "example.com": false, "amazonaws.com.example.com": false,
		"notamazonaws.com": false, "xapi.aws": false, "aws": false, "amazonaws.com..": false, "docs.aws.amazon.com": false,
		"amazonaws.com": true, "sts.amazonaws.com": true, "STS.Us-East-1.AmazonAWS.com.": true,
		"a.b.s3.dualstack.eu-west-1.amazonaws.com": true, "lambda.us-east-1.api.aws": true,
		"x.lambda-url.us-east-1.on.aws": true, "sqs.cn-north-1.amazonaws.com.cn": true,
		"lambda.cn-north-1.api.amazonwebservices.com.cn": true, "sts.eusc-de-east-1.amazonaws.eu": true,
		"sts.us-iso-east-1.c2s.ic.gov": true, "lambda.us-gov-west-1.amazonaws.com": true,
	} {
		if got := IsAWS(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}

func TestLook(t *testing.T) {
	upstream := NewForwarder([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}, ForwarderOptions{})
	for _, tc := range []struct {
		zone Zone
		name string
		want knowledge
	}{
		{Zone{}, "sts.amazonaws.com", missing},
		{Zone{Upstream: upstream}, "sts.amazonaws.com", elsewhere},
		{Zone{AWS: true, Upstream: upstream}, "sts.amazonaws.com", here},
		{Zone{AWS: true}, "example.com", missing},
		{Zone{AWS: true}, "", missing},
		{Zone{AWS: true, Upstream: upstream}, "example.com", elsewhere},
		{Zone{AWS: true, Upstream: upstream}, "", elsewhere},
		{Zone{Upstream: upstream}, "localhost", here},
		{Zone{Upstream: upstream}, "app.localhost", here},
		{Zone{Upstream: upstream}, "mylocalhost", elsewhere},
		{Zone{Own: []string{"Sandbox.localdomain"}, Upstream: upstream}, "sandbox.localdomain", here},
		{Zone{Own: []string{"Sandbox.localdomain"}, Upstream: upstream}, "x.sandbox.localdomain", elsewhere},
		{Zone{Upstream: upstream}, "metadata.google.internal", missing},
		{Zone{Upstream: upstream}, "instance-data.ec2.internal", missing},
		{Zone{Upstream: upstream}, "foo.onion", missing},
		{Zone{Upstream: upstream}, "1.0.0.127.in-addr.arpa", pointer},
		{Zone{Upstream: upstream}, strings.TrimSuffix("1."+strings.Repeat("0.", 31), ".") + ".ip6.arpa", pointer},
		{Zone{Upstream: upstream}, "2.0.0.127.in-addr.arpa", missing},
		{Zone{Upstream: upstream}, "254.169.254.169.in-addr.arpa", missing},
		{Zone{Upstream: upstream}, "8.8.8.8.in-addr.arpa", elsewhere},
	} {
		if got := tc.zone.look(tc.name); got != tc.want {
			t.Errorf("%+v: %q is %d, want %d", tc.zone, tc.name, got, tc.want)
		}
	}
}

func TestRecords(t *testing.T) {
	for _, tc := range []struct {
		kind   knowledge
		wanted dnsmessage.Type
		want   int
	}{
		{here, dnsmessage.TypeA, 1}, {here, dnsmessage.TypeALL, 1}, {here, dnsmessage.TypeAAAA, 0},
		{here, dnsmessage.TypeMX, 0}, {here, 65, 0}, {here, dnsmessage.TypePTR, 0},
		{pointer, dnsmessage.TypePTR, 1}, {pointer, dnsmessage.TypeA, 0},
	} {
		if got := records(tc.kind, tc.wanted); len(got) != tc.want {
			t.Errorf("%d, %v: %v", tc.kind, tc.wanted, got)
		}
	}
}

func TestNameservers(t *testing.T) {
	const text = "# nameserver 9.9.9.9\nsearch a b\nnameserver 10.0.0.1 # why\n\tnameserver\tfe80::1%eth0\nnameserver nonsense\n" +
		"nameserver\nnameserver 127.0.0.53\nnameserver 10.0.0.4\noptions ndots:5"
	want := []string{"10.0.0.1:53", "[fe80::1%eth0]:53", "127.0.0.53:53"}
	var got []string
	for _, server := range Nameservers(text) {
		got = append(got, server.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if NewForwarder(Nameservers(""), ForwarderOptions{}) != nil {
		t.Error("a forwarder without servers")
	}
}
