//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
	"hotaru/sandbox/sandboxtest"
)

// BenchmarkLife measures a whole life: ms to create, to start a small program, to its end, to destroy; without a way to
// the outside and with one, made from nothing and from a hull.
func BenchmarkLife(b *testing.B) {
	b.Run("none", func(b *testing.B) { life(b, newDriver(b), sandbox.EgressNone) })
	b.Run("internet", func(b *testing.B) {
		needRoot(b)
		life(b, openDriver(b, namespace.Config{StateDir: b.TempDir(), Network: newRouter(b)}), sandbox.EgressInternet)
	})
	b.Run("hull", func(b *testing.B) {
		needRoot(b)
		life(b, openDriver(b, namespace.Config{StateDir: b.TempDir(), Network: newRouter(b), Hulls: 4}), sandbox.EgressInternet)
	})
}

func life(b *testing.B, driver sandbox.Driver, egress sandbox.Egress) {
	root := sandboxtest.Root(b)
	helper := sandboxtest.Helper(b)
	ctx := context.Background()
	var create, start, exit, destroy []time.Duration
	for n := 0; b.Loop(); n++ {
		awaitPrepared(b, driver)
		t0 := time.Now()
		box, err := driver.Create(ctx, sandbox.Spec{
			ID: fmt.Sprint("bench-", n), Root: root, Binds: []sandbox.Bind{{Source: helper, Target: "/opt"}},
			Limits: sandbox.Limits{MemoryBytes: 128 << 20, MilliCPU: 1000, TmpBytes: 512 << 20},
			Listen: []string{"127.0.0.1:9001", "127.0.0.1:4566", "127.0.0.1:80", "127.0.0.1:443", "127.0.0.1:53"}, ListenPacket: []string{"127.0.0.1:53"},
			Egress: egress,
		})
		if err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		p, err := box.Start(ctx, sandbox.Command{Path: "/opt/helper", Args: []string{"helper", "exit", "0"}})
		if err != nil {
			b.Fatal(err)
		}
		t2 := time.Now()
		<-p.Done()
		t3 := time.Now()
		if err := box.Destroy(ctx); err != nil {
			b.Fatal(err)
		}
		create, start = append(create, t1.Sub(t0)), append(start, t2.Sub(t1))
		exit, destroy = append(exit, t3.Sub(t2)), append(destroy, time.Since(t3))
	}
	for name, times := range map[string][]time.Duration{"create": create, "start": start, "exit": exit, "destroy": destroy} {
		b.ReportMetric(quantile(times, 50), name+"-p50-ms")
		b.ReportMetric(quantile(times, 99), name+"-p99-ms")
	}
}

// awaitPrepared waits until a driver has prepared all that it wants to.
func awaitPrepared(t testing.TB, driver sandbox.Driver) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		_, coming := driver.(sandbox.Preparer).Prepared()
		if coming == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d sandboxes are still being prepared", coming)
		}
		<-time.After(time.Millisecond)
	}
}

// BenchmarkFreezeThaw measures what a warm invocation pays for its sandbox having been frozen.
func BenchmarkFreezeThaw(b *testing.B) {
	driver := newDriver(b)
	ctx := context.Background()
	box, err := driver.Create(ctx, sandbox.Spec{ID: "freeze", Root: sandboxtest.Root(b)})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := box.Start(ctx, sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "sleep 1000"}}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := box.Freeze(ctx); err != nil {
			b.Fatal(err)
		}
		if err := box.Thaw(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPython is how long it takes until an interpreter runs in a sandbox that is there: started, and as a template's
// copy.
func BenchmarkPython(b *testing.B) {
	driver := newDriver(b)
	root := sandboxtest.Root(b)
	files := b.TempDir()
	sandboxtest.WriteCopier(b, files)
	cmd := sandboxtest.Copier(b, files)
	template, err := driver.NewTemplate(b.Context(), sandboxtest.Template(root, cmd))
	if err != nil {
		b.Fatal(err)
	}
	for name, template := range map[string]sandbox.Template{"started": nil, "copied": template} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				box, err := driver.Create(b.Context(), sandbox.Spec{ID: name + strconv.Itoa(i), Root: root})
				if err != nil {
					b.Fatal(err)
				}
				r, w, err := os.Pipe()
				if err != nil {
					b.Fatal(err)
				}
				run := sandboxtest.Code(b, cmd, "print('x')")
				run.Stdout, run.Template = w, template
				b.StartTimer()
				_, err = box.Start(b.Context(), run)
				w.Close()
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadAll(r); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				r.Close()
				if err := box.Destroy(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
