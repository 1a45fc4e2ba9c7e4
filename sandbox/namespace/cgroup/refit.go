//go:build linux

package cgroup

// Refit makes a group, in which nothing runs yet that anybody wants, one that was created with other limits. It writes what
// differs. On an error the group is of no use but to be removed.
func (g *Group) Refit(limits Limits) error {
	if err := g.SetLimits(limits); err != nil {
		return err
	}
	claim := limits.MemoryBytes >> 20
	if claim == g.claim {
		return nil
	}
	g.claim = claim
	if claim > 0 {
		return g.SetWeight(1)
	}
	return g.writeWeight(100, 1024) // the kernel's own
}
