package pebble_test

import (
	"testing"

	"hotaru/store"
	"hotaru/store/pebble"
	"hotaru/store/storetest"
)

func open(t testing.TB, dir string) *pebble.Store {
	t.Helper()
	s, err := pebble.Open(t.Context(), pebble.Options{Dir: dir})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func openEngine(t testing.TB, dir string) storetest.Engine {
	t.Helper()
	s := open(t, dir)
	return storetest.Engine{
		State: s, Close: s.Close,
		Queue: func(name string) store.Queue { return s.Queue(name) },
	}
}

func TestState(t *testing.T) { storetest.State(t, openEngine) }

func TestQueue(t *testing.T) { storetest.Queue(t, openEngine) }
