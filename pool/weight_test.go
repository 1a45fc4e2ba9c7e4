package pool

import (
	"strings"
	"testing"
	"testing/synctest"

	"hotaru/environment"
	"hotaru/environment/environmenttest"
)

func TestCrowdOf(t *testing.T) {
	for working, want := range map[int]int{0: 1, 1: 1, 4: 1, 5: 2, 8: 2, 9: 4, 200: 64, 256: 64, 257: 128, 1000: 256} {
		if got := crowdOf(working); got != want {
			t.Errorf("%d at work are a crowd of %d, want %d", working, got, want)
		}
	}
}

// TestWeighs: the environments of a function with many at work share what one with few has for itself, whether they were
// there before or have come since, and no longer than they are many.
func TestWeighs(t *testing.T) {
	const many = 20
	c := newTown(t, many, "greedy", "modest")
	boxes := map[string][]*environmenttest.Sandbox{}
	for _, box := range c.driver.Sandboxes() {
		name := strings.TrimRight(box.ID(), "0123456789")
		boxes[name] = append(boxes[name], box)
	}
	// weighed says for which crowds boxes were weighed last, and how many were.
	weighed := func(name string) (last map[int]int) {
		last = map[int]int{}
		for _, box := range boxes[name] {
			if crowds := box.Crowds(); len(crowds) > 0 {
				last[crowds[len(crowds)-1]]++
			}
		}
		return last
	}
	synctest.Test(t, func(t *testing.T) {
		c.open(3*many, 8)
		defer c.Close()
		var lent []*environment.Environment
		for i := range many + unweighed {
			name := "greedy"
			if i >= many {
				name = "modest"
			}
			env, err := c.Acquire(t.Context(), versionOf(name), "", nobody{})
			if err != nil {
				t.Fatal(err)
			}
			lent = append(lent, env)
		}
		synctest.Wait()
		if got := weighed("greedy"); len(got) != 1 || got[crowdOf(many)] != many {
			t.Errorf("of %d at work so many are weighed for each crowd: %v", many, got)
		}
		if got := weighed("modest"); len(got) != 0 {
			t.Errorf("of %d at work some are weighed: %v", unweighed, got)
		}
		for _, env := range lent {
			c.Release(env)
		}
		pass(2 * pressureInterval) // a look at how many there were, and one at how many there are
		synctest.Wait()
		if got := weighed("greedy"); len(got) != 1 || got[1] != many {
			t.Errorf("when none is at work any more so many are weighed for each crowd: %v", got)
		}
	})
}
