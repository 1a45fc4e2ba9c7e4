//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"fmt"
	"strconv"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/cgroup"
)

// A hull is what can be made of a sandbox before anybody knows what it will be for: a box with its control groups, a
// stage-1 in namespaces of its own that has been told nothing yet, its way out and an image for /tmp. It has no ID, no root
// and no user code, and is one sandbox's only: nothing comes back. hulls.go keeps some.

// HullBytes is about what a hull takes of the machine's memory, most of it the kernel's for control groups and the image.
const HullBytes = 3 << 19

// hullKind is what cannot be changed any more once a hull has been made.
type hullKind struct {
	tmpBytes           int64 // of an image; 0 is none
	diskBytesPerSecond int64 // of its device
	egress             sandbox.Egress
	netBytesPerSecond  int64
}

// hullKind is the kind that a sandbox can be made from.
func (d *Driver) hullKind(spec *sandbox.Spec) hullKind {
	kind := hullKind{egress: spec.Egress}
	if kind.egress != sandbox.EgressNone {
		kind.netBytesPerSecond = spec.Limits.NetBytesPerSecond
	}
	// Where images take the room at once that they may need later, none is made before it is wanted.
	if d.hasTmpImage(spec) && !d.images.Strict() {
		kind.tmpBytes, kind.diskBytesPerSecond = spec.Limits.TmpBytes, spec.Limits.DiskBytesPerSecond
	}
	return kind
}

// makeHull makes a hull. The limits of its control groups can be corrected.
func (d *Driver) makeHull(ctx context.Context, kind hullKind, limits cgroup.Limits) (*box, error) {
	if err := d.at(PointHull); err != nil {
		return nil, err
	}
	number, err := d.takeNumber()
	if err != nil {
		return nil, err
	}
	// IDs have no dot.
	b := d.newBox("hull."+strconv.FormatUint(d.hulled.Add(1), 10), number)
	if err := b.makeHull(ctx, kind, limits); err != nil {
		if removeErr := b.unmake(); removeErr != nil {
			err = fmt.Errorf("%w; and then: %w", err, removeErr)
		}
		return nil, err
	}
	return b, nil
}

// makeHull acquires what remove gives back, as far as it gets.
func (b *box) makeHull(ctx context.Context, kind hullKind, limits cgroup.Limits) error {
	d := b.driver
	if err := b.populate(ctx, limits); err != nil {
		return err
	}
	joined := b.joinNetwork(kind)
	var err error
	if kind.tmpBytes > 0 {
		err = d.step(PointTmp, func() error { return b.makeImage(ctx, kind.tmpBytes, kind.diskBytesPerSecond) })
	}
	if joinErr := joined(); err == nil {
		err = joinErr
	}
	if err != nil {
		return err
	}
	return d.at(PointHullMade)
}

// fromHull makes a sandbox from a hull, if one is ready. Nothing that is wrong with a hull is a reason to refuse a sandbox:
// nil says that it is to be made from nothing.
func (d *Driver) fromHull(ctx context.Context, spec *sandbox.Spec) (*box, error) {
	b, err := d.takeHull(ctx, spec)
	if b == nil {
		return nil, err
	}
	b.become(spec)
	if err := b.fitOut(ctx, spec); err != nil {
		b.strip(spec.ID)
		if ctx.Err() != nil || d.forcedHull != nil {
			return nil, err
		}
		d.log.Warn("a prepared sandbox could not be used", "sandbox", spec.ID, "error", err)
		return nil, nil
	}
	return b, nil
}

// strip removes what was to be a sandbox, whose ID stays taken.
func (b *box) strip(id string) {
	d := b.driver
	b.mu.Lock()
	b.id = ""
	b.mu.Unlock()
	if err := b.discard(); err != nil {
		d.log.Error("a prepared sandbox could not be removed", "sandbox", b.name, "error", err)
	}
	if err := d.state.removeSandbox(id); err != nil {
		d.log.Error("a prepared sandbox's directory could not be removed", "sandbox", id, "error", err)
	}
}

// takeHull takes one that is ready; a test may have it made now.
func (d *Driver) takeHull(ctx context.Context, spec *sandbox.Spec) (*box, error) {
	kind := d.hullKind(spec)
	if d.forcedHull != nil {
		return d.makeHull(ctx, kind, d.groupLimits(*d.forcedHull))
	}
	return d.hulls.take(kind, d.groupLimits(spec.Limits)), nil
}

// fitOut makes a hull the sandbox of a spec: what make does beyond makeHull.
func (b *box) fitOut(ctx context.Context, spec *sandbox.Spec) error {
	d := b.driver
	err := d.step(PointHullTaken, func() error { return b.group.Refit(d.groupLimits(spec.Limits)) })
	if err != nil {
		return err
	}
	if err := b.makeDirectory(spec); err != nil {
		return err
	}
	if b.tmp.image == nil {
		if err := d.step(PointTmp, func() error { return b.makeTmp(ctx, spec) }); err != nil {
			return err
		}
	}
	if err := d.step(PointDisk, func() error { return b.limitDisk(spec) }); err != nil {
		return err
	}
	if err := d.step(PointSetup, func() error { return b.setup(ctx, spec) }); err != nil {
		return err
	}
	return d.at(PointMade)
}

// discard removes a hull, or what was to be a sandbox of it.
func (b *box) discard() error { return b.Destroy(context.Background()) }

// alive says whether a hull's stage-1 has not ended.
func (b *box) alive() bool {
	select {
	case <-b.inside.gone:
		return false
	default:
		return true
	}
}
