package code

import "strings"

// checkLink walks a symbolic link as the kernel would, in the tree that the package makes, and refuses it when
// it leads out or in circles. A link to a name that is not there is fine while it stays inside, as on Lambda.
func checkLink(link *node) error {
	if strings.HasPrefix(link.target, "/") {
		return refuse("link %q leads to %q, which is absolute", link.path, link.target)
	}
	if strings.ContainsRune(link.target, 0) {
		return refuse("the target of link %q contains NUL", link.path)
	}
	// at is the last directory or file of the way that is there; beyond counts the elements after it.
	at, beyond := link.parent, 0
	todo := []string{link.target} // what remains of each followed target; the innermost is last
	for followed, walked := 1, 0; len(todo) > 0; walked++ {
		if walked > maxWalked || followed > maxFollowed {
			return refuse("link %q leads in circles", link.path)
		}
		element, rest, more := strings.Cut(todo[len(todo)-1], "/")
		todo = todo[:len(todo)-1]
		if more {
			todo = append(todo, rest)
		}
		switch {
		case element == "" || element == ".":
			continue
		case element == ".." && beyond > 0:
			beyond--
			continue
		case element == "..":
			if at.parent == at {
				return refuse("link %q leads out of the package to %q", link.path, link.target)
			}
			at = at.parent
			continue
		}
		next := at.children[element]
		switch {
		case beyond > 0 || next == nil:
			beyond++
		case next.kind != linkKind:
			at = next
		default: // if the target is absolute, that link's own check refuses the package
			followed++
			todo = append(todo, next.target)
		}
	}
	return nil
}
