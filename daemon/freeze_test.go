package daemon

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestBackgroundWorkStopsBetweenEvents: what a function's threads do stops with the answer and goes on with the
// next event, as on Lambda.
func TestBackgroundWorkStopsBetweenEvents(t *testing.T) {
	h := start(t)
	h.createPython("f", `
import threading, time
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.001)
threading.Thread(target=tick, daemon=True).start()
def handler(event, context):
    time.sleep(event.get("sleep", 0))
    return [ticks, time.time()]
`)
	var before, after [2]float64
	if err := json.Unmarshal([]byte(h.ok("f", `{"sleep": 0.1}`)), &before); err != nil {
		t.Fatal(err)
	}
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	<-timer.C
	if err := json.Unmarshal([]byte(h.ok("f", "{}")), &after); err != nil {
		t.Fatal(err)
	}
	if gone := after[1] - before[1]; gone < 1 || before[0] < 10 {
		t.Fatalf("%v seconds between the answers, %v ticks before", gone, before[0])
	}
	if ticks := after[0] - before[0]; ticks > 300 {
		t.Errorf("%v ticks in a second without events", ticks)
	}
	if got := h.ok("f", `{"sleep": 0.1}`); !strings.HasPrefix(got, "[") {
		t.Errorf("afterwards: %s", got)
	}
}
