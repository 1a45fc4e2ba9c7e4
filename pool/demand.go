package pool

import (
	"math"
	"time"
)

// demand says how many blanks of a kind should be ready: as many as are taken, at the recent rate, in the time that it
// takes to have a taken one replaced.
type demand struct {
	// weight is the number of blanks that were asked for, each counting less the longer ago that was; its rate is
	// weight/memory. at is when it was so.
	weight float64
	at     time.Time
	// replacing is how long it takes to replace one, smoothed.
	replacing time.Duration
}

// demandMemory is after how long an asking counts 1/e.
const demandMemory = 10 * time.Second

// decayInterval is how often shelves are looked at that have more than they should.
const decayInterval = 5 * time.Second

// taken notes that a blank was asked for.
func (d *demand) taken(now time.Time) {
	d.weight = d.present(now) + 1
	d.at = now
}

func (d *demand) present(now time.Time) float64 {
	return d.weight * math.Exp(-float64(now.Sub(d.at))/float64(demandMemory))
}

// refilled notes how long it took to replace one.
func (d *demand) refilled(took time.Duration) {
	if d.replacing == 0 {
		d.replacing = took
	}
	d.replacing += (took - d.replacing) / 4
}

// target is how many should be ready.
func (d *demand) target(now time.Time) int {
	if d.weight == 0 {
		return 0
	}
	return int(math.Ceil(d.present(now) * float64(d.replacing) / float64(demandMemory)))
}
