//go:build linux

package router

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// dropForwarded writes the rules that Docker writes for iptables, and firewalld for nf_tables: nothing that is forwarded
// passes.
func dropForwarded(t *testing.T) {
	t.Helper()
	conn, err := nftables.New()
	must(t, err)
	drop := nftables.ChainPolicyDrop
	for family, name := range map[nftables.TableFamily]string{
		nftables.TableFamilyIPv4: "filter", nftables.TableFamilyIPv6: "filter", nftables.TableFamilyINet: "firewalld",
	} {
		table := conn.AddTable(&nftables.Table{Family: family, Name: name})
		chain := conn.AddChain(&nftables.Chain{
			Name: "FORWARD", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
			Priority: nftables.ChainPriorityFilter, Policy: &drop,
		})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}})
	}
	must(t, conn.Flush())
}

// hostNetwork is all that there is to see of this process's network: interfaces, addresses, routes, routing rules, the
// rules of nf_tables as the kernel gives them, and settings.
func hostNetwork(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	interfaces, err := net.Interfaces()
	must(t, err)
	for _, i := range interfaces {
		fmt.Fprintln(&all, i.Index, i.Name, i.MTU, i.Flags)
	}
	for _, kind := range []netlink.HeaderType{unix.RTM_GETADDR, unix.RTM_GETROUTE, unix.RTM_GETRULE} {
		dump(t, &all, unix.NETLINK_ROUTE, kind, make([]byte, unix.SizeofRtMsg))
	}
	for _, kind := range []netlink.HeaderType{unix.NFT_MSG_GETTABLE, unix.NFT_MSG_GETCHAIN, unix.NFT_MSG_GETRULE, unix.NFT_MSG_GETSET} {
		dump(t, &all, unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|kind, make([]byte, 4))
	}
	for _, name := range []string{"ipv4/ip_forward", "ipv4/conf/all/forwarding", "ipv4/conf/all/rp_filter", "ipv6/conf/all/forwarding"} {
		value, err := os.ReadFile("/proc/sys/net/" + name)
		must(t, err)
		fmt.Fprintf(&all, "%s %s", name, value)
	}
	return all.String()
}

func dump(t *testing.T, all *strings.Builder, protocol int, kind netlink.HeaderType, header []byte) {
	t.Helper()
	conn, err := netlink.Dial(protocol, nil)
	must(t, err)
	defer conn.Close()
	messages, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Dump}, Data: header,
	})
	must(t, err)
	for _, m := range messages {
		fmt.Fprintf(all, "%d %x\n", kind, m.Data)
	}
}
