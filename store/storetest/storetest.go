// Package storetest is the suite that every engine of package store passes. It must not know any engine.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"hotaru/store"
)

// Engine is an engine that is open on a directory.
type Engine struct {
	State store.State
	// Queue returns the queue of that name; the same name is the same queue.
	Queue func(name string) store.Queue
	Close func() error
}

// Opener opens the engine under test on a directory. The suite closes it before it opens the same directory
// again.
type Opener func(t testing.TB, dir string) Engine

// patience is how long the suite waits for what must happen soon.
const patience = 30 * time.Second

func (open Opener) fresh(t testing.TB) Engine {
	t.Helper()
	return open.at(t, t.TempDir())
}

func (open Opener) at(t testing.TB, dir string) Engine {
	t.Helper()
	e := open(t, dir)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func set(key store.Key, value string) store.Change {
	return store.Change{Key: key, Value: []byte(value)}
}

func mustCommit(t testing.TB, s store.State, changes ...store.Change) store.Revision {
	t.Helper()
	revision, err := s.Commit(soon(t), changes...)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return revision
}

// listed returns "key=value" of every record of a list.
func listed(t testing.TB, s store.State, prefix, after store.Key) []string {
	t.Helper()
	var got []string
	for r, err := range s.List(soon(t), prefix, after) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		got = append(got, fmt.Sprintf("%s=%s", r.Key, r.Value))
	}
	return got
}

func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func wantConflict(t testing.TB, err error, want store.ConflictError) {
	t.Helper()
	var conflict *store.ConflictError
	if !errors.As(err, &conflict) || *conflict != want {
		t.Errorf("Commit: %v, want a conflict at %s, revision %d", err, want.Key, want.Revision)
	}
}
