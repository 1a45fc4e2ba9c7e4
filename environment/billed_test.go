package environment

import (
	"testing"
	"time"
)

func TestBilled(t *testing.T) {
	for _, tc := range []struct {
		took, init time.Duration
		want       int64
	}{
		{0, 0, 0},
		{time.Microsecond, 0, 1},
		{time.Millisecond, 0, 1},
		{time.Millisecond + 1, 0, 2},
		{1500 * time.Microsecond, 1400 * time.Microsecond, 3},
		{3*time.Second + 1130*time.Microsecond, 0, 3000}, // found out late that time had run out
		{3*time.Second + 1130*time.Microsecond, 10 * time.Millisecond, 3010},
	} {
		if got := billed(&Outcome{Duration: tc.took, InitDuration: tc.init}, 3*time.Second); got != tc.want {
			t.Errorf("%v and %v of Init: %d ms, want %d", tc.took, tc.init, got, tc.want)
		}
	}
}
