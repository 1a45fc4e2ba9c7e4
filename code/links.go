package code

import (
	"strings"
)

// checkLink walks a symbolic link as the kernel would, in the tree that the package makes, and refuses it when
// it leads out or nowhere. A link to a name that is not there is fine while it stays inside, as on Lambda.
func (c *contents) checkLink(link *node) error {
	if strings.HasPrefix(link.target, "/") {
		return refuse("link %q leads to %q, which is absolute", link.path, link.target)
	}
	if strings.ContainsRune(link.target, 0) {
		return refuse("the target of link %q contains NUL", link.path)
	}
	at := parent(link.path)
	// todo is a stack of targets that are walked so far; the innermost is last.
	todo := []string{link.target}
	for followed, walked := 1, 0; len(todo) > 0; walked++ {
		if walked > maxWalked || followed > maxFollowed {
			return refuse("link %q leads in circles", link.path)
		}
		element, rest, more := strings.Cut(todo[len(todo)-1], "/")
		if more {
			todo[len(todo)-1] = rest
		} else {
			todo = todo[:len(todo)-1]
		}
		switch element {
		case "", ".":
			continue
		case "..":
			if at == "" {
				return refuse("link %q leads out of the package to %q", link.path, link.target)
			}
			at = parent(at)
			continue
		}
		next := join(at, element)
		if c.nodes[next] != linkKind {
			at = next
			continue
		}
		// An absolute target is refused when that link's own turn comes; here it must not look relative.
		target := c.byPath[next].target
		if strings.HasPrefix(target, "/") {
			return refuse("link %q leads to %q, which is absolute", link.path, target)
		}
		followed++
		todo = append(todo, target)
	}
	return nil
}

func parent(path string) string { return path[:max(0, strings.LastIndexByte(path, '/'))] }

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
