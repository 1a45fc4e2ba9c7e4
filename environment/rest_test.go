package environment

import (
	"testing"
	"time"

	"hotaru/environment/environmenttest"
)

// An environment that rests is frozen, once, and thawed for the next event.
func TestFrozenBetweenEvents(t *testing.T) {
	env, driver, _ := start(t, 3, environmenttest.Echo)
	driver.Frozen = make(chan bool, 10)
	for range 3 {
		invoke(t, env, "r")
		began := time.Now()
		env.Rest()
		env.freeze() // a timer of the event before, which comes too early
		select {
		case frozen := <-driver.Frozen:
			if !frozen {
				t.Fatal("thawed before it was frozen")
			}
			if took := time.Since(began); took < freezeDelay {
				t.Fatalf("frozen after %s", took)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("not frozen")
		}
		invoke(t, env, "r")
		if frozen := <-driver.Frozen; frozen {
			t.Fatal("frozen, and an event ran")
		}
	}
}

// Events that follow each other closely are not disturbed, and a closed environment is left alone.
func TestNotFrozenWhileAtWork(t *testing.T) {
	env, driver, _ := start(t, 3, environmenttest.Echo)
	driver.Frozen = make(chan bool, 10)
	invoke(t, env, "r")
	env.Rest()
	if err := env.wake(t.Context()); err != nil {
		t.Fatal(err)
	}
	env.freeze() // a timer that was already on its way
	if err := env.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	env.Rest()
	env.freeze()
	if len(driver.Frozen) != 0 {
		t.Error("frozen while at work, or after Close")
	}
}
