package process

import (
	"path"
	"path/filepath"
	"strings"

	"hotaru/sandbox"
)

// paths rewrites paths as seen inside to paths of the host.
type paths struct {
	binds []sandbox.Bind // later ones cover earlier ones
}

func newPaths(root sandbox.Root, binds []sandbox.Bind) paths {
	all := append(append([]sandbox.Bind(nil), root.Binds...), binds...)
	return paths{binds: all}
}

func (p *paths) add(binds []sandbox.Bind) { p.binds = append(p.binds, binds...) }

// host is where the host has what is seen inside at the path. What no bind covers is the host's own.
func (p *paths) host(inside string) string {
	if !path.IsAbs(inside) {
		return inside
	}
	clean := path.Clean(inside)
	for i := len(p.binds) - 1; i >= 0; i-- {
		target := path.Clean(p.binds[i].Target)
		if clean == target {
			return p.binds[i].Source
		}
		if rest, under := strings.CutPrefix(clean, strings.TrimSuffix(target, "/")+"/"); under {
			return filepath.Join(p.binds[i].Source, filepath.FromSlash(rest))
		}
	}
	return inside
}

func (p *paths) args(args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = p.host(arg)
	}
	return out
}

// env rewrites each element of each value: PATH=/var/lang/bin:/bin has two. The result is never nil, because
// nil would mean "inherit".
func (p *paths) env(env []string) []string {
	out := make([]string, 0, len(env))
	for _, pair := range env {
		name, value, hasValue := strings.Cut(pair, "=")
		if !hasValue {
			out = append(out, pair)
			continue
		}
		elements := strings.Split(value, ":")
		for i := range elements {
			elements[i] = p.host(elements[i])
		}
		out = append(out, name+"="+strings.Join(elements, ":"))
	}
	return out
}
