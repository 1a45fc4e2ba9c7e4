package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"hotaru/function"
	"hotaru/store"
)

// Layers is what Lambda knows of layers, kept in State and, decoded, in memory. A layer is a head, which only counts and
// stays when every version is deleted, and versions.
type Layers struct {
	state    store.State
	heads    *store.View[*layerHead]
	versions *store.View[*layerVersion]
}

// layerHead is the part of a layer that lasts.
type layerHead struct {
	ID function.LayerID `json:"id"`
	// Last is the number that was given last.
	Last int64 `json:"last"`

	revision store.Revision
}

// layerVersion is a layer version with who may use it, which alone changes.
type layerVersion struct {
	*function.LayerVersion
	Policy resourcePolicy `json:"policy"`

	revision store.Revision
}

const (
	layerKind        = "layer"
	layerVersionKind = "layer-version"
)

func layerParts(kind string, id function.LayerID) []string {
	return []string{kind, id.Partition, id.Account, id.Region, id.Name}
}

func layerKey(id function.LayerID) store.Key { return store.NewKey(layerParts(layerKind, id)...) }

// layerVersionKey has the number in a form whose order is the numbers'.
func layerVersionKey(id function.LayerID, number int64) store.Key {
	return store.NewKey(append(layerParts(layerVersionKind, id), fmt.Sprintf("%019d", number))...)
}

// OpenLayers reads what is stored. Close ends it.
func OpenLayers(ctx context.Context, state store.State) (*Layers, error) {
	l := &Layers{state: state}
	l.heads = store.NewView(state, store.NewPrefix(layerKind), func(r store.Record) (*layerHead, error) {
		h := &layerHead{revision: r.Revision}
		return h, json.Unmarshal(r.Value, h)
	})
	l.versions = store.NewView(state, store.NewPrefix(layerVersionKind), func(r store.Record) (*layerVersion, error) {
		v := &layerVersion{revision: r.Revision}
		return v, json.Unmarshal(r.Value, v)
	})
	if err := l.heads.Start(ctx); err != nil {
		return nil, fmt.Errorf("control: read layers: %w", err)
	}
	if err := l.versions.Start(ctx); err != nil {
		l.heads.Close()
		return nil, fmt.Errorf("control: read layer versions: %w", err)
	}
	return l, nil
}

// Close ends the views.
func (l *Layers) Close() {
	l.heads.Close()
	l.versions.Close()
}

// Failed is closed when the stored layers can no longer be followed.
func (l *Layers) Failed() []<-chan struct{} {
	return []<-chan struct{}{l.heads.Failed(), l.versions.Failed()}
}

// Digests yields the digest of every package of a stored layer version.
func (l *Layers) Digests() iter.Seq[string] {
	return func(yield func(string) bool) {
		for item := range l.versions.List(store.NewPrefix(layerVersionKind), "") {
			if !yield(item.Value.Code.Digest) {
				return
			}
		}
	}
}

// version finds a layer version.
func (l *Layers) version(id function.LayerID, number int64) (v *layerVersion, ok bool) {
	item, ok := l.versions.Get(layerVersionKey(id, number))
	return item.Value, ok
}

// list yields the layers of an account and region by name, those after the given name; all that ever were.
func (l *Layers) list(scope function.ID, after string) iter.Seq[function.LayerID] {
	prefix := store.NewPrefix(layerKind, scope.Partition, scope.Account, scope.Region)
	var start store.Key
	if after != "" {
		scope.Name = after
		start = layerKey(function.LayerID(scope))
	}
	return func(yield func(function.LayerID) bool) {
		for item := range l.heads.List(prefix, start) {
			if !yield(item.Value.ID) {
				return
			}
		}
	}
}

// newestFirst are the versions of a layer that are there.
func (l *Layers) newestFirst(id function.LayerID) []*layerVersion {
	var versions []*layerVersion
	for item := range l.versions.List(store.NewPrefix(layerParts(layerVersionKind, id)...), "") {
		versions = append(versions, item.Value)
	}
	slices.Reverse(versions)
	return versions
}

// publish stores a layer version under the layer's next number, which it sets.
func (l *Layers) publish(ctx context.Context, v *function.LayerVersion) error {
	for {
		head, expect := &layerHead{ID: v.ID}, store.Absent()
		if item, ok := l.heads.Get(layerKey(v.ID)); ok {
			*head, expect = *item.Value, store.At(item.Value.revision)
		}
		head.Last++
		v.Number = head.Last
		headValue, err := json.Marshal(head)
		if err != nil {
			return fmt.Errorf("control: encode layer: %w", err)
		}
		value, err := json.Marshal(layerVersion{LayerVersion: v})
		if err != nil {
			return fmt.Errorf("control: encode layer version: %w", err)
		}
		revision, err := l.state.Commit(ctx,
			store.Change{Key: layerKey(v.ID), Value: headValue, Expect: expect},
			store.Change{Key: layerVersionKey(v.ID, v.Number), Value: value}) // a number is given once: the head's guards it
		if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
			if err := l.heads.Wait(ctx, max(conflict.Revision, head.revision+1)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("control: store layer version: %w", err)
		}
		return errors.Join(l.heads.Wait(ctx, revision), l.versions.Wait(ctx, revision))
	}
}

// remove deletes a layer version if it is there.
func (l *Layers) remove(ctx context.Context, id function.LayerID, number int64) error {
	if _, ok := l.version(id, number); !ok {
		return nil
	}
	revision, err := l.state.Commit(ctx, store.Change{Key: layerVersionKey(id, number), Delete: true})
	if err != nil {
		return fmt.Errorf("control: delete layer version: %w", err)
	}
	return l.versions.Wait(ctx, revision)
}

// update changes who may use a layer version by change, which may be called again when somebody else has changed it
// meanwhile.
func (l *Layers) update(ctx context.Context, id function.LayerID, number int64, change func(*layerVersion) error) error {
	for {
		old, ok := l.version(id, number)
		if !ok {
			return noLayerVersion(id, number)
		}
		v := *old
		if err := change(&v); err != nil {
			return err
		}
		value, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("control: encode layer version: %w", err)
		}
		revision, err := l.state.Commit(ctx,
			store.Change{Key: layerVersionKey(id, number), Value: value, Expect: store.At(old.revision)})
		if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
			if err := l.versions.Wait(ctx, max(conflict.Revision, old.revision+1)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("control: store layer version: %w", err)
		}
		return l.versions.Wait(ctx, revision)
	}
}
