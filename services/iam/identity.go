package iam

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hotaru/awsapi"
	"hotaru/policy"
	"hotaru/store"
)

// identity is what roles, users and groups have in common.
type identity struct {
	Name     string            `json:"name"`
	ID       string            `json:"id"`
	Path     string            `json:"path"`
	Created  time.Time         `json:"created"`
	Boundary string            `json:"boundary,omitempty"`
	Tags     []tag             `json:"tags,omitempty"`
	Inline   map[string]string `json:"inline,omitempty"`
	// Attached are ARNs of managed policies, in the order of attaching.
	Attached []string `json:"attached,omitempty"`

	// documents are the inline policies, compiled, and languageTags the tags; views alone have them.
	documents    []*policy.Document
	languageTags []policy.Tag
}

func newIdentity(prefix, name string, path *string) identity {
	return identity{Name: name, ID: newID(prefix), Path: pathOr(path), Created: instant()}
}

// deletable refuses an identity that still has policies.
func (i *identity) deletable() error {
	switch {
	case len(i.Attached) > 0:
		return awsapi.Errorf("DeleteConflict", "Cannot delete entity, must detach all policies first.")
	case len(i.Inline) > 0:
		return awsapi.Errorf("DeleteConflict", "Cannot delete entity, must delete policies first.")
	}
	return nil
}

// folded is the name as keys and lists know it.
func (i *identity) folded() string { return strings.ToLower(i.Name) }

// compile prepares what evaluation reads.
func (i *identity) compile() {
	for _, name := range slices.Sorted(maps.Keys(i.Inline)) {
		i.documents = append(i.documents, compiled(i.Inline[name]))
	}
	i.languageTags = languageTags(i.Tags)
}

// compiled reads a document that was checked before it was stored; one that is broken all the same denies everything.
func compiled(text string) *policy.Document {
	d, err := policy.Parse(text)
	if err != nil {
		return policy.DenyAll()
	}
	return d
}

// collection is one kind of identity.
type collection[T any] struct {
	s    *Service
	kind string
	// noun is "role", "user" or "group".
	noun string
	// inlineSize bounds all inline policies of one identity together, in characters without white space.
	inlineSize int
	view       *store.View[*T]
	common     func(*T) *identity
}

func newCollection[T any](s *Service, kind, noun string, inlineSize int, common func(*T) *identity, compile func(*T)) *collection[T] {
	c := &collection[T]{s: s, kind: kind, noun: noun, inlineSize: inlineSize, common: common}
	c.view = store.NewView(s.state, store.NewPrefix(kind), func(r store.Record) (*T, error) {
		value, err := decode[T](r)
		if err == nil {
			common(value).compile()
			compile(value)
		}
		return value, err
	})
	s.follow(kind, c.view)
	return c
}

// title is the noun at the beginning of a sentence.
func (c *collection[T]) title() string { return strings.ToUpper(c.noun[:1]) + c.noun[1:] }

func (c *collection[T]) missing(name string) error {
	return awsapi.Errorf("NoSuchEntity", "The %s with name %s cannot be found.", c.noun, name)
}

func (c *collection[T]) exists(name string) error {
	return awsapi.Errorf("EntityAlreadyExists", "%s with name %s already exists.", c.title(), name)
}

func (c *collection[T]) arn(scope awsapi.Scope, i *identity) string {
	return fmt.Sprintf("arn:%s:iam::%s:%s%s%s", scope.Partition, scope.Account, c.noun, i.Path, i.Name)
}

// get is a record that must be there, as the view has it: shared, not to be changed.
func (c *collection[T]) get(scope awsapi.Scope, name string) (*T, error) {
	item, found := c.view.Get(key(scope, c.kind, name))
	if !found {
		return nil, c.missing(name)
	}
	return item.Value, nil
}

// load reads a record that must be there from the store, for a change.
func (c *collection[T]) load(ctx context.Context, scope awsapi.Scope, name string) (*T, store.Revision, error) {
	value, revision, found, err := load[T](ctx, c.s, key(scope, c.kind, name))
	if err == nil && !found {
		err = c.missing(name)
	}
	return value, revision, err
}

// change stores what change makes of a record, as often as somebody else was faster.
func (c *collection[T]) change(ctx context.Context, name string, change func(*T) error) (*T, error) {
	scope := scopeOf(ctx)
	var changed *T
	err := retry(ctx, func() error {
		value, revision, err := c.load(ctx, scope, name)
		if err != nil {
			return err
		}
		if err := change(value); err != nil {
			return err
		}
		changed = value
		update, err := put(key(scope, c.kind, name), value, store.At(revision))
		if err != nil {
			return err
		}
		return c.s.commit(ctx, update)
	})
	return changed, err
}

// create stores a new record, together with its use of a permissions boundary.
func (c *collection[T]) create(ctx context.Context, value *T) error {
	scope, i := scopeOf(ctx), c.common(value)
	create, err := put(key(scope, c.kind, i.Name), value, store.Absent())
	if err != nil {
		return err
	}
	return retry(ctx, func() error {
		_, _, found, err := load[T](ctx, c.s, create.Key)
		switch {
		case err != nil:
			return err
		case found:
			return c.exists(i.Name)
		case i.Boundary == "":
			return c.s.commit(ctx, create)
		}
		return c.s.commitWithPolicy(ctx, scope, i.Boundary, create)
	})
}

// below are all of the account's below a path, sorted by name.
func (c *collection[T]) below(scope awsapi.Scope, path string) []*T {
	all := seen(c.view, prefix(scope, c.kind))
	all = slices.DeleteFunc(all, func(v *T) bool { return !strings.HasPrefix(c.common(v).Path, path) })
	slices.SortFunc(all, func(a, b *T) int { return strings.Compare(c.folded(a), c.folded(b)) })
	return all
}

func (c *collection[T]) folded(value *T) string { return c.common(value).folded() }

// identities are all of the account's as the view has them; fresh reads them from the store, for a decision that must
// not be late.
func (c *collection[T]) identities(ctx context.Context, scope awsapi.Scope, fresh bool) ([]*identity, error) {
	values := seen(c.view, prefix(scope, c.kind))
	if fresh {
		var err error
		if values, err = list[T](ctx, c.s, prefix(scope, c.kind)); err != nil {
			return nil, err
		}
	}
	identities := make([]*identity, len(values))
	for i, v := range values {
		identities[i] = c.common(v)
	}
	return identities, nil
}
