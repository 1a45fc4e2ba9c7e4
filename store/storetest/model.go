package storetest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hotaru/store"
)

// model is what a State must look like from outside: a map, and the last revision.
type model struct {
	records map[store.Key]store.Record
	last    store.Revision
}

// stateModel commits at random, reopens at random and compares every answer with a map's.
func stateModel(t *testing.T, open Opener) {
	rapid.Check(t, func(r *rapid.T) {
		dir := t.TempDir()
		e := open(t, dir)
		defer func() {
			if err := e.Close(); err != nil {
				r.Fatalf("Close: %v", err)
			}
		}()
		m := model{records: make(map[store.Key]store.Record)}
		r.Repeat(map[string]func(*rapid.T){
			"commit": func(r *rapid.T) { m.commit(t, r, e.State) },
			"get":    func(r *rapid.T) { m.get(t, r, e.State) },
			"list":   func(r *rapid.T) { m.list(t, r, e.State) },
			"reopen": func(r *rapid.T) {
				if err := e.Close(); err != nil {
					r.Fatalf("Close: %v", err)
				}
				e = open(t, dir)
			},
		})
	})
}

var modelKeys = rapid.SampledFrom([]store.Key{"a", "a/b", "a/b/c", "ab", "b", "b/a", "=20"})

func (m *model) commit(t testing.TB, r *rapid.T, s store.State) {
	keys := rapid.SliceOfNDistinct(modelKeys, 1, 3, rapid.ID[store.Key]).Draw(r, "keys")
	changes := make([]store.Change, len(keys))
	holds := true
	for i, key := range keys {
		now := m.records[key].Revision
		changes[i] = store.Change{Key: key, Value: rapid.SliceOf(rapid.Byte()).Draw(r, "value"), Delete: rapid.Bool().Draw(r, "delete")}
		switch rapid.IntRange(0, 4).Draw(r, "expect") {
		case 0:
			changes[i].Expect = store.Absent()
			holds = holds && now == 0
		case 1:
			wanted := store.Revision(rapid.Uint64Range(1, uint64(m.last)+1).Draw(r, "revision"))
			changes[i].Expect = store.At(wanted)
			holds = holds && now == wanted
		case 2:
			if now != 0 {
				changes[i].Expect = store.At(now)
			}
		}
	}
	revision, err := s.Commit(soon(t), changes...)
	var conflict *store.ConflictError
	if !holds {
		if !errors.As(err, &conflict) || conflict.Revision != m.records[conflict.Key].Revision {
			r.Fatalf("commit of %v: %v, want a conflict", changes, err)
		}
		return
	}
	if err != nil || revision <= m.last {
		r.Fatalf("commit of %v: revision %d after %d, %v", changes, revision, m.last, err)
	}
	m.last = revision
	for _, c := range changes {
		if c.Delete {
			delete(m.records, c.Key)
		} else {
			m.records[c.Key] = store.Record{Key: c.Key, Value: c.Value, Revision: revision}
		}
	}
}

func (m *model) get(t testing.TB, r *rapid.T, s store.State) {
	key := modelKeys.Draw(r, "key")
	got, err := s.Get(soon(t), key)
	want, present := m.records[key]
	if present != (err == nil) || !present && !errors.Is(err, store.ErrNotFound) || !sameRecord(got, want) {
		r.Fatalf("Get(%s) = %v, %v; want %v", key, got, err, want)
	}
}

func (m *model) list(t testing.TB, r *rapid.T, s store.State) {
	prefix := rapid.SampledFrom([]store.Key{"", "a", "a/", "b/", "z"}).Draw(r, "prefix")
	after := rapid.SampledFrom([]store.Key{"", "a", "a/b", "b", "z"}).Draw(r, "after")
	var want []store.Record
	for key, record := range m.records {
		if strings.HasPrefix(string(key), string(prefix)) && key > after {
			want = append(want, record)
		}
	}
	slices.SortFunc(want, func(a, b store.Record) int { return strings.Compare(string(a.Key), string(b.Key)) })
	var got []store.Record
	for record, err := range s.List(soon(t), prefix, after) {
		if err != nil {
			r.Fatalf("List: %v", err)
		}
		got = append(got, record)
	}
	if !slices.EqualFunc(got, want, sameRecord) {
		r.Fatalf("List(%q, %q): %s", prefix, after, cmp.Diff(want, got))
	}
}

func sameRecord(a, b store.Record) bool {
	return a.Key == b.Key && a.Revision == b.Revision && bytes.Equal(a.Value, b.Value)
}
