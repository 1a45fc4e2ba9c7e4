package names

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestResolvers follows a file that is missing, appears, changes, is replaced through a link, and goes.
func TestResolvers(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "other")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		r := FollowResolvers(path)
		expect := func(what string, want ...string) {
			t.Helper()
			var servers []netip.AddrPort
			for _, server := range want {
				servers = append(servers, netip.MustParseAddrPort(server))
			}
			if got := r.Servers(); !slices.Equal(got, servers) {
				t.Errorf("%s: %v, want %v", what, got, servers)
			}
		}
		expect("missing")
		write(path, "search secret.example\nnameserver 192.0.2.1\n")
		expect("not looked at again yet")
		<-time.After(lookEvery) // of the bubble's clock
		expect("it appears", "192.0.2.1:53")
		write(path, "nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
		<-time.After(lookEvery)
		expect("it changes", "192.0.2.1:53", "[2001:db8::1]:53")
		write(other, "nameserver 127.0.0.53\noptions edns0\n")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(other, path); err != nil {
			t.Fatal(err)
		}
		<-time.After(lookEvery)
		expect("it is a link", "127.0.0.53:53")
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
		<-time.After(lookEvery)
		expect("it leads nowhere")
	})
}
