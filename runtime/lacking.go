package runtime

import "path/filepath"

// Lacking says what Lambda's environments have and a root assembled from this host will not, each with what to
// install: "curl (Debian: apt-get install curl)".
func (c *Catalog) Lacking() []string {
	var lacking []string
	need := func(name, pack string, patterns ...string) {
		for _, pattern := range patterns {
			if found, _ := filepath.Glob(pattern); len(found) > 0 { // fails only on a bad pattern
				return
			}
		}
		lacking = append(lacking, name+" (Debian: apt-get install "+pack+")")
	}
	need("bash", "bash", "/usr/bin/bash", "/bin/bash")
	need("curl", "curl", "/usr/bin/curl")
	need("libstdc++", "libstdc++6", "/usr/lib*/libstdc++.so.6", "/usr/lib/*/libstdc++.so.6")
	need("time zones", "tzdata", "/usr/share/zoneinfo/America/New_York")
	need("a locale of UTF-8", "libc-bin", "/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8", "/usr/lib/locale/en_US.utf8",
		"/usr/lib/locale/locale-archive")
	if hostBundle() == "" {
		need("certificate authorities", "ca-certificates")
	}
	return lacking
}
