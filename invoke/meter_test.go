package invoke

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/function"
)

// oneReserved has executions reserved for the function "own".
type oneReserved struct{}

func (oneReserved) Serving(context.Context, function.ID, string) (*function.Version, error) {
	return nil, nil
}

func (oneReserved) Reserved(id function.ID) (own int, ok bool, all int) {
	return 5, id.Name == "own", 5
}

// TestUnreserved: what functions with executions of their own run is not among the unreserved.
func TestUnreserved(t *testing.T) {
	i := &Invoker{Functions: oneReserved{}}
	var slots []*slot
	for _, id := range []function.ID{
		{Account: "1", Region: "r", Name: "own"}, {Account: "1", Region: "r", Name: "f"}, {Account: "1", Region: "r", Name: "g"},
		{Account: "1", Region: "s", Name: "f"},
	} {
		s, err := i.admit(i.limitOf(id))
		if err != nil {
			t.Fatal(err)
		}
		slots = append(slots, s)
	}
	told := func() map[string]int {
		got := map[string]int{}
		i.Unreserved(func(account, region string, executions int) { got[account+" "+region] = executions })
		return got
	}
	if diff := cmp.Diff(map[string]int{"1 r": 2, "1 s": 1}, told()); diff != "" {
		t.Error(diff)
	}
	for _, s := range slots {
		s.release()
	}
	if left := told(); len(left) != 0 {
		t.Errorf("after all have ended: %v", left)
	}
}
