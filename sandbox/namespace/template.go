//go:build linux && (amd64 || arm64)

package namespace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/cgroup"
	"hotaru/sandbox/namespace/erofs"
	"hotaru/sandbox/namespace/wire"
)

// A template has no capability and can gain none, but it is the user who owns the sandboxes' user namespaces: the kernel
// gives that user every capability in there, and nowhere else (user_namespaces(7)). So its copies can go in. It sees a root
// like theirs, no network, and the processes of sandboxes, because nobody enters a process namespace that is not below his own.

// What a template may use: it is a bare interpreter.
const (
	templateMemory = 256 << 20
	templatePIDs   = 128
)

var _ sandbox.Templater = (*Driver)(nil)

// template is a process that makes copies of itself.
type template struct {
	driver   *Driver
	root     sandbox.Root
	name     string // of its control group: no sandbox's
	group    *cgroup.Group
	images   []*erofs.Image
	pidfd    *os.File
	control  *control
	printed  *os.File
	gone     chan struct{} // closed when it has ended
	routines sync.WaitGroup

	closing sync.Once
	failure error // of closing
}

// NewTemplate starts a template.
func (d *Driver) NewTemplate(ctx context.Context, spec sandbox.TemplateSpec) (sandbox.Template, error) {
	if d.housing != nil {
		return nil, fmt.Errorf("sandbox: %s makes no templates: %w", d.Name(), errors.ErrUnsupported)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if spec.Root.Image && !d.MountsImages() {
		return nil, errNoImages
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, errors.New("sandbox: the driver is closed")
	}
	d.templated++
	t := &template{driver: d, root: spec.Root, name: "template." + strconv.Itoa(d.templated), gone: make(chan struct{})}
	d.making.Add(1)
	d.mu.Unlock()
	defer d.making.Done()
	if err := t.make(ctx, spec); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.templates[t] = true
	return t, nil
}

// make acquires what Close gives back, as far as it gets.
func (t *template) make(ctx context.Context, spec sandbox.TemplateSpec) error {
	d := t.driver
	err := d.step(PointTemplateGroup, func() (err error) {
		t.group, err = d.cgroups.Create(t.name, cgroup.Limits{MemoryBytes: templateMemory, PIDs: templatePIDs})
		return err
	})
	if err != nil {
		return fmt.Errorf("sandbox: template: %w", err)
	}
	if err := d.at(PointTemplateLaunch); err != nil {
		return err
	}
	pidfd, conn, err := d.launch(ctx, t.group, wire.Launch{Template: true})
	if err != nil {
		return err
	}
	t.pidfd = pidfd
	t.control = &control{conn: conn, waiting: map[uint64]chan reply{}, exit: func(uint64, uint32) bool { return false }}
	t.routines.Go(t.listen)
	if err := d.at(PointTemplateExec); err != nil {
		return err
	}
	return t.execute(ctx, spec)
}

// execute has the process become the template, and waits until it is ready.
func (t *template) execute(ctx context.Context, spec sandbox.TemplateSpec) error {
	d := t.driver
	m := &mounts{erofs: d.erofs}
	defer m.close()
	err := m.show(spec.Root.Dir, "/", spec.Root.Image)
	if err == nil {
		err = m.addBinds(spec.Root.Binds)
	}
	if err == nil {
		err = d.state.addDevices(m)
	}
	if err != nil {
		return err
	}
	t.images, m.images = m.images, nil
	printed, output, err := sandbox.OutputPipe()
	if err != nil {
		return err
	}
	defer output.Close()
	t.printed = printed
	t.routines.Go(t.print)
	request := wire.Template{
		Mounts: m.targets[1:], Path: spec.Path, Dir: spec.Dir, Args: spec.Args, Env: spec.Env,
		Confine: append([]wire.Step{ownKeyring()}, d.dropPrivilege(0)...),
	}
	if request.Dir == "" {
		request.Dir = "/"
	}
	id := t.control.newID()
	if _, err := t.control.call(ctx, id, request.Encode(id), slices.Concat(m.files, []*os.File{output})); err != nil {
		var failed *stageError
		if errors.As(err, &failed) && failed.errno == unix.ENOTSUP {
			return fmt.Errorf("sandbox: the program makes no template: %s: %w", failed.stage, errors.ErrUnsupported)
		}
		return fmt.Errorf("sandbox: template: %w", err)
	}
	return nil
}

// print is the goroutine that passes on what the template prints, which is why it ends. Its copies have outputs of their
// own.
func (t *template) print() {
	for lines := bufio.NewScanner(t.printed); lines.Scan(); {
		t.driver.log.Warn("a template prints", "text", lines.Text())
	}
}

// listen is the goroutine that hears the template until it has ended.
func (t *template) listen() {
	if err := t.control.read(); err != nil {
		t.driver.log.Error("template killed", "error", err)
	}
	t.kill()
	waitForEnd(t.pidfd)
	close(t.gone)
}

func (t *template) kill() {
	if err := unix.PidfdSendSignal(rawFD(t.pidfd), unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		t.driver.log.Error("killing a template", "error", err)
	}
}

// Done is closed when the template has ended.
func (t *template) Done() <-chan struct{} { return t.gone }

// MemoryBytes reads the control groups.
func (t *template) MemoryBytes() (int64, error) {
	usage, err := t.group.Usage()
	if err != nil {
		return 0, fmt.Errorf("sandbox: template: %w", err)
	}
	return usage.MemoryBytes, nil
}

// Close ends the template and removes every trace.
func (t *template) Close() error {
	t.closing.Do(func() {
		d := t.driver
		var failures []error
		if t.control != nil {
			t.kill()
			<-t.gone
		}
		if t.group != nil {
			ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
			defer cancel()
			// Where nobody is born into a group, a copy is in the template's for a moment.
			failures = append(failures, t.group.Kill(ctx), t.group.Remove(ctx))
		}
		if t.printed != nil {
			t.printed.Close() // copies that are on their way have the other end
		}
		t.routines.Wait()
		if t.control != nil {
			t.control.conn.Close()
			t.pidfd.Close()
		}
		for _, image := range t.images {
			image.Release()
		}
		d.mu.Lock()
		delete(d.templates, t)
		d.mu.Unlock()
		t.failure = errors.Join(failures...)
	})
	return t.failure
}

// serves says whether the template's copies can be processes of a sandbox.
func (t *template) serves(b *box) error {
	if t.driver != b.driver || !reflect.DeepEqual(t.root, b.root) {
		return errors.New("sandbox: the template is of another driver or has another root")
	}
	return nil
}
