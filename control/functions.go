package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"hotaru/function"
	"hotaru/store"
)

// Sealer keeps secrets unreadable at rest. The context binds a sealed value to its place.
type Sealer interface {
	Seal(context string, plain []byte) []byte
	Unseal(context string, sealed []byte) ([]byte, error)
}

// Functions is what Lambda knows of functions, kept in State and, decoded, in memory. A function is a small
// head and immutable versions: a version is written with the head change that makes it count, and a reader
// goes from the head to the version.
type Functions struct {
	state    store.State
	sealer   Sealer
	heads    *store.View[*head]
	versions *store.View[*function.Version]

	recounting   sync.Mutex // held while reservations are counted anew
	reservations atomic.Pointer[reservations]
	policies     policies
}

// head is the part of a function that changes.
type head struct {
	ID  function.ID `json:"id"`
	UID string      `json:"uid"`
	// Latest is the generation of $LATEST's configuration, Serving the one that events run on, 0 while there
	// is none. They differ while an update is in progress or after one has failed.
	Latest     int               `json:"latest"`
	Serving    int               `json:"serving"`
	Status     function.Status   `json:"status"`
	RevisionID string            `json:"revisionId"`
	Tags       map[string]string `json:"tags,omitempty"`
	// Published is the number that was given to a version last, 0 before the first; Publishing the one of the version
	// that becomes active with the creation or update in progress, 0 if none does; Broken are those whose did not.
	Published  int                        `json:"published,omitempty"`
	Publishing int                        `json:"publishing,omitempty"`
	Broken     map[int]function.Condition `json:"broken,omitempty"`
	// Reserved is how many concurrent executions are kept for the function alone; nil where none are set.
	Reserved *int             `json:"reserved,omitempty"`
	Aliases  map[string]alias `json:"aliases,omitempty"`
	// Policies say who may use the function, a version or an alias, by qualifier; the function's own is "".
	Policies map[string]resourcePolicy `json:"policies,omitempty"`

	revision store.Revision
	// keepsRevision tells update that RevisionID is not about what it changes.
	keepsRevision bool
}

// storedVersion is a function.Version at rest.
type storedVersion struct {
	*function.Version
	// Sealed is the environment variables' JSON, sealed.
	Sealed []byte `json:"environment,omitempty"`
}

const (
	headKind    = "function"
	versionKind = "function-version"
)

func headKey(id function.ID) store.Key {
	return store.NewKey(headKind, id.Partition, id.Account, id.Region, id.Name)
}

func versionKey(id function.ID, uid, version string, generation int) store.Key {
	return store.NewKey(versionKind, id.Partition, id.Account, id.Region, id.Name, uid, version, strconv.Itoa(generation))
}

// OpenFunctions reads what is stored. Close ends it.
func OpenFunctions(ctx context.Context, state store.State, sealer Sealer) (*Functions, error) {
	f := &Functions{state: state, sealer: sealer}
	f.heads = store.NewView(state, store.NewPrefix(headKind), decodeHead)
	f.versions = store.NewView(state, store.NewPrefix(versionKind), f.decodeVersion)
	if err := f.heads.Start(ctx); err != nil {
		return nil, fmt.Errorf("control: read functions: %w", err)
	}
	if err := f.versions.Start(ctx); err != nil {
		f.heads.Close()
		return nil, fmt.Errorf("control: read versions: %w", err)
	}
	f.countReservations()
	for h := range f.all() {
		if h.Policies != nil {
			f.compilePolicies(h.ID)
		}
	}
	return f, nil
}

// Close ends the views.
func (f *Functions) Close() {
	f.heads.Close()
	f.versions.Close()
}

// Failed is closed when the stored functions can no longer be followed; Err says why.
func (f *Functions) Failed() []<-chan struct{} {
	return []<-chan struct{}{f.heads.Failed(), f.versions.Failed()}
}

// Serving implements invoke.Functions.
func (f *Functions) Serving(ctx context.Context, id function.ID, qualifier string) (*function.Version, error) {
	for {
		h, err := f.head(id)
		if err != nil {
			return nil, function.NotFound(id, qualifier)
		}
		version := qualifier
		if a, ok := h.Aliases[qualifier]; ok {
			version = a.pick()
		}
		if version != "" && version != function.Latest {
			return f.servingPublished(ctx, h, version)
		}
		if h.Serving == 0 {
			return nil, inState(h.Status.State)
		}
		v, err := f.version(ctx, h, h.Serving)
		if !errors.Is(err, store.ErrNotFound) {
			return v, err
		}
		// An update has replaced the version between the two reads: the head that did so is on its way.
		if err := f.heads.Wait(ctx, h.revision+1); err != nil {
			return nil, err
		}
	}
}

func inState(s function.State) error {
	return function.Errorf(function.ErrResourceConflict, "The operation cannot be performed at this time. The function is "+
		"currently in the following state: %s", s)
}

// Current says whether a version is what its function serves, and with which tags; nobody may change the map.
func (f *Functions) Current(v *function.Version) (tags map[string]string, current bool) {
	h, err := f.head(v.ID)
	if err != nil || h.UID != v.UID {
		return nil, false
	}
	if v.Published != nil {
		_, current = f.versions.Get(versionKey(v.ID, v.UID, v.Version, v.Generation))
		return h.Tags, current
	}
	return h.Tags, h.Serving == v.Generation
}

// head finds a function.
func (f *Functions) head(id function.ID) (*head, error) {
	item, ok := f.heads.Get(headKey(id))
	if !ok {
		return nil, function.NotFound(id, "")
	}
	return item.Value, nil
}

// version finds a generation of $LATEST: in memory or, where the view has not caught up, in the store.
func (f *Functions) version(ctx context.Context, h *head, generation int) (*function.Version, error) {
	return f.read(ctx, versionKey(h.ID, h.UID, function.Latest, generation))
}

func (f *Functions) read(ctx context.Context, key store.Key) (*function.Version, error) {
	if item, ok := f.versions.Get(key); ok {
		return item.Value, nil
	}
	record, err := f.state.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("control: version %s: %w", key, err)
	}
	return f.decodeVersion(record)
}

// all yields every function of every account and region.
func (f *Functions) all() iter.Seq[*head] {
	return func(yield func(*head) bool) {
		for item := range f.heads.List(store.NewPrefix(headKind), "") {
			if !yield(item.Value) {
				return
			}
		}
	}
}

// list yields the functions of an account and region by name, those after the given name.
func (f *Functions) list(scope function.ID, after string) iter.Seq[*head] {
	prefix := store.NewPrefix(headKind, scope.Partition, scope.Account, scope.Region)
	var start store.Key
	if after != "" {
		scope.Name = after
		start = headKey(scope)
	}
	return func(yield func(*head) bool) {
		for item := range f.heads.List(prefix, start) {
			if !yield(item.Value) {
				return
			}
		}
	}
}

// Versions yields every stored version of every function.
func (f *Functions) Versions() iter.Seq[*function.Version] {
	return func(yield func(*function.Version) bool) {
		for item := range f.versions.List(store.NewPrefix(versionKind), "") {
			if !yield(item.Value) {
				return
			}
		}
	}
}

// create stores a new function with its first versions.
func (f *Functions) create(ctx context.Context, h *head, versions ...*function.Version) error {
	h.RevisionID = uuid.NewString()
	err := f.commit(ctx, h, versions, store.Absent())
	if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
		return function.Errorf(function.ErrResourceConflict, "Function already exist: %s", h.ID.Name)
	}
	return err
}

// errUnchanged makes update leave everything as it is.
var errUnchanged = errors.New("control: unchanged")

// update changes a function's head by change, which may return new versions to store with it, and may be
// called again when somebody else changed the function meanwhile. Versions that nothing refers to any more
// are deleted in the same commit. A caller that goes away leaves nothing half done: what is in memory besides follows.
func (f *Functions) update(ctx context.Context, id function.ID,
	change func(h *head) ([]*function.Version, error)) (*head, error) {
	ctx = context.WithoutCancel(ctx)
	for {
		old, err := f.head(id)
		if err != nil {
			return nil, err
		}
		h := *old
		versions, err := change(&h)
		if errors.Is(err, errUnchanged) {
			return old, nil
		}
		if err != nil {
			return nil, err
		}
		if !h.keepsRevision {
			h.RevisionID = uuid.NewString()
		}
		err = f.commit(ctx, &h, versions, store.At(old.revision), f.dropped(old, &h)...)
		if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
			if err := f.heads.Wait(ctx, conflict.Revision); err != nil {
				return nil, err
			}
			continue
		}
		if err == nil && (h.Policies != nil || old.Policies != nil) {
			f.compilePolicies(id)
		}
		return &h, err
	}
}

// dropped deletes the generations that old needs and h does not.
func (f *Functions) dropped(old, h *head) []store.Change {
	var changes []store.Change
	for _, generation := range []int{old.Latest, old.Serving} {
		if generation != 0 && generation != h.Latest && generation != h.Serving {
			changes = append(changes, store.Change{
				Key: versionKey(old.ID, old.UID, function.Latest, generation), Delete: true,
			})
		}
	}
	if len(changes) == 2 && changes[0].Key == changes[1].Key {
		changes = changes[:1]
	}
	return changes
}

// remove deletes a function with all its versions.
func (f *Functions) remove(ctx context.Context, id function.ID) error {
	ctx = context.WithoutCancel(ctx) // as update
	for {
		h, err := f.head(id)
		if err != nil {
			return err
		}
		changes := []store.Change{{Key: headKey(id), Delete: true, Expect: store.At(h.revision)}}
		// Who adds a version later changes the head, too.
		for record, err := range f.state.List(ctx, versionsPrefix(h), "") {
			if err != nil {
				return fmt.Errorf("control: versions of %s: %w", id.Name, err)
			}
			changes = append(changes, store.Change{Key: record.Key, Delete: true})
		}
		revision, err := f.state.Commit(ctx, changes...)
		if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
			if err := f.heads.Wait(ctx, max(conflict.Revision, h.revision+1)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("control: delete function: %w", err)
		}
		err = errors.Join(f.heads.Wait(ctx, revision), f.versions.Wait(ctx, revision))
		if h.Reserved != nil {
			f.countReservations()
		}
		if h.Policies != nil {
			f.compilePolicies(id)
		}
		return err
	}
}

// commit writes a head, versions if there are any, and further changes, and waits until they are in memory.
func (f *Functions) commit(ctx context.Context, h *head, versions []*function.Version, expect store.Expectation,
	more ...store.Change) error {
	value, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("control: encode function: %w", err)
	}
	changes := append(slices.Clip(more), store.Change{Key: headKey(h.ID), Value: value, Expect: expect})
	for _, v := range versions {
		change, err := f.encodeVersion(v)
		if err != nil {
			return err
		}
		changes = append(changes, change)
	}
	revision, err := f.state.Commit(ctx, changes...)
	if err != nil {
		return fmt.Errorf("control: store function: %w", err)
	}
	h.revision = revision
	if len(versions) > 0 {
		err = f.versions.Wait(ctx, revision)
	}
	if err := errors.Join(err, f.heads.Wait(ctx, revision)); err != nil {
		return fmt.Errorf("control: read function back: %w", err)
	}
	return nil
}

func decodeHead(r store.Record) (*head, error) {
	h := &head{revision: r.Revision}
	if err := json.Unmarshal(r.Value, h); err != nil {
		return nil, fmt.Errorf("control: function record: %w", err)
	}
	return h, nil
}

func (f *Functions) encodeVersion(v *function.Version) (store.Change, error) {
	key := versionKey(v.ID, v.UID, v.Version, v.Generation)
	stored := storedVersion{Version: v}
	if v.Environment != nil {
		plain, err := json.Marshal(v.Environment)
		if err != nil {
			return store.Change{}, fmt.Errorf("control: encode environment: %w", err)
		}
		stored.Sealed = f.sealer.Seal(string(key), plain)
	}
	value, err := json.Marshal(stored)
	if err != nil {
		return store.Change{}, fmt.Errorf("control: encode version: %w", err)
	}
	return store.Change{Key: key, Value: value, Expect: store.Absent()}, nil
}

func (f *Functions) decodeVersion(r store.Record) (*function.Version, error) {
	stored := storedVersion{Version: &function.Version{}}
	if err := json.Unmarshal(r.Value, &stored); err != nil {
		return nil, fmt.Errorf("control: version record: %w", err)
	}
	if stored.Sealed != nil {
		plain, err := f.sealer.Unseal(string(r.Key), stored.Sealed)
		if err != nil {
			return nil, fmt.Errorf("control: unseal environment: %w", err)
		}
		if err := json.Unmarshal(plain, &stored.Environment); err != nil {
			return nil, fmt.Errorf("control: environment: %w", err)
		}
	}
	return stored.Version, nil
}

// newVersion starts the next generation of $LATEST from the one before.
func newVersion(from *function.Version, generation int, now time.Time) *function.Version {
	v := *from
	v.Generation, v.LastModified = generation, now
	return &v
}
