package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// maxHostBytes is DNS's limit of a name (RFC 1035, section 2.3.4).
const maxHostBytes = 253

// hosts are the names that a Hotaru answers to. Whoever owns a domain can let it resolve to 127.0.0.1, and a browser
// then takes this Hotaru for a part of that domain's site; a check of the Host header is what stops it.
type hosts struct {
	names map[string]bool
	// suffixes start with a dot.
	suffixes []string
}

// newHosts allows what always is, the listen address (HOST:PORT), and allowed: names, addresses, or *.NAME.
func newHosts(listen string, allowed []string) (*hosts, error) {
	h := &hosts{names: map[string]bool{"localhost": true}, suffixes: []string{".localhost"}}
	if name, ok := parseHost(listen); ok {
		h.names[name] = true
	}
	for _, text := range allowed {
		rest, wild := strings.CutPrefix(text, "*.")
		name, port, ok := splitHost(rest)
		_, notAddress := netip.ParseAddr(name)
		switch {
		case !ok || port != "" || wild && notAddress == nil:
			return nil, fmt.Errorf("gateway: allowed host %q: give a host name, an address, or *.NAME, without a port", text)
		case wild:
			h.suffixes = append(h.suffixes, "."+name)
		default:
			h.names[name] = true
		}
	}
	return h, nil
}

// allows says whether a name or address, in parseHost's form, is one of ours.
func (h *hosts) allows(name string) bool {
	if h.names[name] {
		return true
	}
	if address, err := netip.ParseAddr(name); err == nil {
		return address.IsLoopback()
	}
	for _, suffix := range h.suffixes {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// parseHost takes a Host header apart (RFC 9110, section 7.2) and answers the host in one form: an address as netip
// writes it, or a name in lower case without the last dot. It refuses whatever a browser or an SDK would not send.
func parseHost(header string) (host string, ok bool) {
	host, _, ok = splitHost(header)
	return host, ok
}

// splitHost is parseHost with the port, which is empty where none is given.
func splitHost(header string) (host, port string, ok bool) {
	host = header
	if inner, bracketed := strings.CutPrefix(header, "["); bracketed {
		var rest string
		if host, rest, ok = strings.Cut(inner, "]"); !ok || !strings.Contains(host, ":") {
			return "", "", false
		}
		if port, ok = strings.CutPrefix(rest, ":"); !ok && rest != "" {
			return "", "", false
		}
	} else if strings.Count(header, ":") == 1 {
		host, port, _ = strings.Cut(header, ":")
	}
	if port != "" && !goodPort(port) {
		return "", "", false
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String(), port, address.Zone() == ""
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host, port, goodName(host)
}

func goodPort(port string) bool {
	for _, b := range []byte(port) {
		if b < '0' || b > '9' {
			return false
		}
	}
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil
}

func goodName(name string) bool {
	if name == "" || len(name) > maxHostBytes {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" {
			return false
		}
		for _, b := range []byte(label) {
			if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' && b != '_' {
				return false
			}
		}
	}
	return true
}

// AWSName says whether a host name is one of AWS's own endpoints, which resolve to this Hotaru inside execution
// environments: *.amazonaws.com, *.amazonaws.com.cn and *.aws (with *.api.aws), in any case of letters.
func AWSName(name string) bool {
	name, ok := parseHost(name)
	if !ok {
		return false
	}
	for _, suffix := range []string{".amazonaws.com", ".amazonaws.com.cn", ".aws"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// AllowsName says whether a client may ask for a name by TLS: the same names that it may then send as Host.
func (g *Gateway) AllowsName(name string) bool {
	name, ok := parseHost(name)
	return ok && g.hosts.allows(name)
}

// checkHost says whether a request is for this Hotaru. The address that the client reached is always good: where a
// page's address is ours, the page is ours.
func (g *Gateway) checkHost(r *http.Request, inside bool) bool {
	name, ok := parseHost(r.Host)
	if !ok {
		return false
	}
	return g.hosts.allows(name) || inside && AWSName(name) || name == localAddress(r)
}

func localAddress(r *http.Request) string {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	address, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return ""
	}
	return address.Addr().Unmap().WithZone("").String()
}
