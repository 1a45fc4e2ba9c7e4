//go:build linux

package router

import (
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The router's own names. They meet no others: its namespace is nobody else's.
const (
	tunName = "daemon"
	// sandboxGroup is the group of the interfaces that lead to sandboxes. Rules go by it, so that none is added or removed
	// with a sandbox.
	sandboxGroup = 1
	// markProxy is for packets of connections that this process holds, markOut for those on their way out.
	markProxy, markOut = 1, 2
	// tableProxy and tableOut are where those are routed.
	tableProxy, tableOut = 101, 102
)

// packetsPerSecond is how many packets outside of TCP connections a sandbox may send: datagrams and openings of
// connections. They pass through this process one by one.
const packetsPerSecond = 20000

// writeRules writes the rule set of the router's namespace, the calling thread's. As nft(8) would have it:
//
//	table inet router {
//	  set pace { typeof meta iif; size 65535; timeout 10s; flags dynamic,timeout; }
//	  chain prerouting { type filter hook prerouting priority mangle
//	    iifgroup 1 fib saddr . iif oif 0 drop
//	    iifgroup 1 meta l4proto tcp tcp flags & (fin|syn|rst|ack) != syn socket transparent 1 mark set 1 accept
//	    iifgroup 1 update @pace { iif limit rate over 20000/second burst 1000 packets } drop
//	    iifgroup 1 mark set 2 accept
//	    iif daemon meta l4proto tcp tcp flags & (fin|syn|rst|ack) == syn tproxy to :proxy mark set 1 accept
//	  }
//	  chain input { type filter hook input priority filter; policy drop
//	    mark 1 accept
//	  }
//	  chain forward { type filter hook forward priority filter; policy drop
//	    iif daemon oifgroup 1 accept
//	    oif != daemon drop
//	    meta l4proto udp accept
//	    meta l4proto tcp tcp flags & (fin|syn|rst|ack) == syn accept
//	    meta l4proto tcp reject with tcp reset
//	  }
//	}
//
// A packet that comes from a sandbox has that sandbox's address or is dropped; it goes to a connection that this process
// holds, or to this process; nothing goes from one sandbox to another, and no socket of the router can be reached.
func writeRules(proxy4, proxy6 uint16) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("router: nf_tables: %w", err)
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "router"})
	pace := &nftables.Set{
		Table: table, Name: "pace", Dynamic: true, HasTimeout: true, Timeout: 10 * time.Second,
		KeyType: nftables.TypeIFIndex, KeyByteOrder: binaryutil.NativeEndian, Size: 1 << 16,
	}
	if err := conn.AddSet(pace, nil); err != nil {
		return fmt.Errorf("router: nf_tables: %w", err)
	}
	chain := func(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority, policy nftables.ChainPolicy,
		rules ...[]expr.Any) {
		c := conn.AddChain(&nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: priority, Policy: &policy,
		})
		for _, rule := range rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: c, Exprs: rule})
		}
	}
	var (
		fromSandbox = is(expr.MetaKeyIIFGROUP, sandboxGroup)
		toSandbox   = is(expr.MetaKeyOIFGROUP, sandboxGroup)
		fromDaemon  = is(expr.MetaKeyIIF, tunIndex)
	)
	chain("prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityMangle, nftables.ChainPolicyAccept,
		join(fromSandbox, foreign(), verdict(expr.VerdictDrop)),
		join(fromSandbox, tcp(), opens(expr.CmpOpNeq), held(), mark(markProxy)),
		join(fromSandbox, tooMany(pace), verdict(expr.VerdictDrop)),
		join(fromSandbox, mark(markOut)),
		join(fromDaemon, family(unix.NFPROTO_IPV4), tcp(), opens(expr.CmpOpEq), tproxy(unix.NFPROTO_IPV4, proxy4), mark(markProxy)),
		join(fromDaemon, family(unix.NFPROTO_IPV6), tcp(), opens(expr.CmpOpEq), tproxy(unix.NFPROTO_IPV6, proxy6), mark(markProxy)))
	chain("input", nftables.ChainHookInput, nftables.ChainPriorityFilter, nftables.ChainPolicyDrop,
		join(is(expr.MetaKeyMARK, markProxy), verdict(expr.VerdictAccept)))
	chain("forward", nftables.ChainHookForward, nftables.ChainPriorityFilter, nftables.ChainPolicyDrop,
		join(fromDaemon, toSandbox, verdict(expr.VerdictAccept)),
		join(compare(expr.MetaKeyOIF, expr.CmpOpNeq, binaryutil.NativeEndian.PutUint32(tunIndex)), verdict(expr.VerdictDrop)),
		join(proto(unix.IPPROTO_UDP), verdict(expr.VerdictAccept)),
		join(tcp(), opens(expr.CmpOpEq), verdict(expr.VerdictAccept)),
		join(tcp(), []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}))
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("router: nf_tables: %w", err)
	}
	return nil
}

// What follows are the words of rules, each of one or more expressions. The kernel computes in numbered registers.
const register = 1

func join(words ...[]expr.Any) []expr.Any {
	var rule []expr.Any
	for _, word := range words {
		rule = append(rule, word...)
	}
	return rule
}

func compare(key expr.MetaKey, op expr.CmpOp, data []byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: register},
		&expr.Cmp{Op: op, Register: register, Data: data},
	}
}

func is(key expr.MetaKey, value uint32) []expr.Any {
	return compare(key, expr.CmpOpEq, binaryutil.NativeEndian.PutUint32(value))
}

func family(number byte) []expr.Any {
	return compare(expr.MetaKeyNFPROTO, expr.CmpOpEq, []byte{number})
}

func proto(number byte) []expr.Any {
	return compare(expr.MetaKeyL4PROTO, expr.CmpOpEq, []byte{number})
}

func tcp() []expr.Any { return proto(unix.IPPROTO_TCP) }

// opens is about whether a TCP packet opens a connection.
func opens(op expr.CmpOp) []expr.Any {
	const flagsOffset = 13
	return []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: flagsOffset, Len: 1},
		&expr.Bitwise{
			SourceRegister: register, DestRegister: register, Len: 1,
			Mask: []byte{flagFIN | flagSYN | flagRST | flagACK}, Xor: []byte{0},
		},
		&expr.Cmp{Op: op, Register: register, Data: []byte{flagSYN}},
	}
}

// foreign: the way back to where the packet says that it comes from is not the way that it came.
func foreign() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: register, ResultOIF: true, FlagSADDR: true, FlagIIF: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: binaryutil.NativeEndian.PutUint32(0)},
	}
}

// held: this process has the connection.
func held() []expr.Any {
	return []expr.Any{
		&expr.Socket{Key: expr.SocketKeyTransparent, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{1}},
	}
}

func tooMany(pace *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: register},
		&expr.Dynset{
			SrcRegKey: register, SetName: pace.Name, SetID: pace.ID, Operation: unix.NFT_DYNSET_OP_UPDATE,
			Exprs: []expr.Any{&expr.Limit{
				Type: expr.LimitTypePkts, Rate: packetsPerSecond, Unit: expr.LimitTimeSecond, Over: true, Burst: packetsPerSecond / 20,
			}},
		},
	}
}

// tproxy gives the packet to the socket that listens at a port, whatever address the packet is for.
func tproxy(family byte, port uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: register, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.TProxy{Family: family, TableFamily: unix.NFPROTO_INET, RegPort: register},
	}
}

// mark is the last word of a rule: what has a mark is accepted.
func mark(value uint32) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: register, Data: binaryutil.NativeEndian.PutUint32(value)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: register},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }
