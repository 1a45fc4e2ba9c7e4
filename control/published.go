package control

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"hotaru/function"
	"hotaru/store"
)

// This file is about published versions. Like $LATEST's generations they are immutable records; their state is the
// head's to tell.

// publish makes the next version out of $LATEST. description is its own if it is given. The version counts when it is
// stored with the head.
func (h *head) publish(latest *function.Version, description *string) *function.Version {
	h.Published++
	v := *latest
	v.Version, v.Generation = strconv.Itoa(h.Published), 0
	v.Published = &function.Publication{RevisionID: uuid.NewString(), LatestDescription: latest.Description}
	set(&v.Description, description)
	return &v
}

// publishingFailed notes that the version that was to become active did not.
func (h *head) publishingFailed(why function.Condition) {
	if h.Publishing == 0 {
		return
	}
	h.Broken = maps.Clone(h.Broken)
	if h.Broken == nil {
		h.Broken = map[int]function.Condition{}
	}
	h.Broken[h.Publishing] = why
	h.Publishing = 0
}

// statusOf is the status of one of the function's versions.
func (h *head) statusOf(v *function.Version) function.Status {
	if v.Published == nil {
		return h.Status
	}
	number, _ := strconv.Atoi(v.Version) // a published version's is one
	if number == h.Publishing {
		return function.Creating()
	}
	if why, broken := h.Broken[number]; broken {
		return function.Status{}.Broken(why)
	}
	return function.Status{}.Ready()
}

func (h *head) revisionOf(v *function.Version) string {
	if v.Published == nil {
		return h.RevisionID
	}
	return v.Published.RevisionID
}

// versionsPrefix is what the keys of all versions of a function start with.
func versionsPrefix(h *head) store.Key {
	id := h.ID
	return store.NewPrefix(versionKind, id.Partition, id.Account, id.Region, id.Name, h.UID)
}

// published finds a published version by its number.
func (f *Functions) published(ctx context.Context, h *head, number string) (*function.Version, error) {
	if _, err := strconv.Atoi(number); err != nil {
		return nil, function.NotFound(h.ID, number)
	}
	v, err := f.read(ctx, versionKey(h.ID, h.UID, number, 0))
	if errors.Is(err, store.ErrNotFound) {
		return nil, function.NotFound(h.ID, number)
	}
	return v, err
}

func (f *Functions) servingPublished(ctx context.Context, h *head, number string) (*function.Version, error) {
	v, err := f.published(ctx, h, number)
	if err != nil {
		return nil, err
	}
	if s := h.statusOf(v); s.State != function.Active {
		return nil, inState(s.State)
	}
	return v, nil
}

// inOrder are the published versions of a function, those after a number.
func (f *Functions) inOrder(h *head, after int) []*function.Version {
	type numbered struct {
		number int
		*function.Version
	}
	var found []numbered
	for item := range f.versions.List(versionsPrefix(h), "") {
		if number, err := strconv.Atoi(item.Value.Version); err == nil && number > after {
			found = append(found, numbered{number, item.Value})
		}
	}
	slices.SortFunc(found, func(a, b numbered) int { return a.number - b.number })
	versions := make([]*function.Version, len(found))
	for i, v := range found {
		versions[i] = v.Version
	}
	return versions
}

// unchanged is the version that was published last if nothing has changed since, else nil: Lambda publishes nothing
// twice.
func (f *Functions) unchanged(ctx context.Context, h *head, latest *function.Version) (*function.Version, error) {
	if _, broken := h.Broken[h.Published]; h.Published == 0 || broken {
		return nil, nil
	}
	last, err := f.read(ctx, versionKey(h.ID, h.UID, strconv.Itoa(h.Published), 0))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	was, is := *last, *latest
	was.Description = last.Published.LatestDescription
	for _, v := range []*function.Version{&was, &is} {
		v.Version, v.Generation, v.LastModified, v.Published = "", 0, time.Time{}, nil
	}
	if !reflect.DeepEqual(was, is) {
		return nil, nil
	}
	return last, nil
}

// removePublished deletes a published version if it is there and no alias needs it.
func (f *Functions) removePublished(ctx context.Context, id function.ID, number string) error {
	ctx = context.WithoutCancel(ctx) // as update
	for {
		old, err := f.head(id)
		if err != nil {
			return err
		}
		v, err := f.published(ctx, old, number)
		if refusal := (*function.Error)(nil); errors.As(err, &refusal) {
			return nil
		}
		if err != nil {
			return err
		}
		if names := old.usersOf(number); names != nil {
			return function.Errorf(function.ErrResourceConflict, "Unable to delete version because the following aliases "+
				"reference it: [%s]", strings.Join(names, ", "))
		}
		// The head changes with it, so that nobody gives the version an alias meanwhile.
		h := *old
		h.dropPolicy(number)
		err = f.commit(ctx, &h, nil, store.At(old.revision),
			store.Change{Key: versionKey(v.ID, v.UID, v.Version, v.Generation), Delete: true})
		if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
			if err := f.heads.Wait(ctx, max(conflict.Revision, old.revision+1)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if h.Policies != nil || old.Policies != nil {
			f.compilePolicies(id)
		}
		return f.versions.Wait(ctx, h.revision)
	}
}
