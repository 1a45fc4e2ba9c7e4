package code

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// MergedDigest names what several packages, laid over each other in this order, make together: Merged's directory, and
// what Sweep asks about. One package alone is itself, and none is "".
func MergedDigest(digests []string) string {
	switch len(digests) {
	case 0:
		return ""
	case 1:
		return digests[0]
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "merged packages\n")
	for _, digest := range digests {
		fmt.Fprintf(sum, "%s\n", digest)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Merged gives the directory, or image, that stored packages unpack to together, as Lambda's layers do in /opt: each over those
// before it. A directory joins a directory of the same name; anything else takes the place of what had its name, so a
// link is never walked. It is made at the first call, as Root's is, and stays until Sweep removes it. Packages that
// cannot be together are an *Error; a digest that is not there is store.ErrNotFound.
func (s *Store) Merged(ctx context.Context, digests []string) (dir string, err error) {
	return s.directory(ctx, MergedDigest(digests), digests)
}

// merge lays the contents of packages over the first, which becomes the whole.
func merge(ctx context.Context, packages []*contents) (*contents, error) {
	whole := packages[0]
	for _, over := range packages[1:] {
		lay(whole.root, over.root)
	}
	merged := &contents{root: whole.root}
	merged.collect(whole.root)
	if err := merged.checkNumber(); err != nil {
		return nil, refuseTogether(err)
	}
	for _, link := range merged.links {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// What a link leads through may be another layer's now.
		if err := checkLink(link); err != nil {
			return nil, refuseTogether(err)
		}
	}
	return merged, nil
}

// lay puts what is in a directory over what is in another.
func lay(under, over *node) {
	for _, n := range over.inside {
		old := under.children[n.name]
		if old != nil && old.kind == directoryKind && n.kind == directoryKind {
			if !n.modified.IsZero() {
				old.modified = n.modified
			}
			lay(old, n)
			continue
		}
		n.parent = under
		under.children[n.name] = n
		under.inside = append(under.inside, n)
	}
	under.inside = slices.DeleteFunc(under.inside, func(n *node) bool { return under.children[n.name] != n })
}

// collect lists what is below a directory.
func (c *contents) collect(dir *node) {
	for _, n := range dir.inside {
		c.count++
		switch n.kind {
		case directoryKind:
			c.collect(n)
		case fileKind:
			c.files = append(c.files, n)
		case linkKind:
			c.links = append(c.links, n)
		}
	}
}

func refuseTogether(reason error) error {
	if refusal := (*Error)(nil); errors.As(reason, &refusal) {
		reason = refusal.Reason
	}
	return &Error{Code: invalidParameter, Message: "The layers cannot be used together: " + reason.Error(), Reason: reason}
}
