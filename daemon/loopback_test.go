package daemon

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"testing"
	"time"

	"hotaru/environment"
	"hotaru/gateway"
	"hotaru/pki"
	"hotaru/pool"
	hotaruruntime "hotaru/runtime"
	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
)

// BenchmarkLoopback measures what an idle environment's loopback costs the daemon: ms to make the sandbox, goroutines,
// and bytes of heap and stacks, with AWS's names and without anything.
func BenchmarkLoopback(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("isolation takes root")
	}
	logger := slog.New(slog.DiscardHandler)
	driver, err := namespace.New(namespace.Config{StateDir: b.TempDir(), Log: logger})
	if err != nil {
		b.Fatal(err)
	}
	defer driver.Close()
	authority, err := pki.Open(b.TempDir(), pki.Options{})
	if err != nil {
		b.Fatal(err)
	}
	catalog := &hotaruruntime.Catalog{StateDir: b.TempDir(), CA: authority.PEM()}
	installed, err := catalog.Resolve(b.Context(), "provided.al2023")
	if err != nil {
		b.Fatal(err)
	}
	program := installed.Program(hotaruruntime.Options{})
	for name, bare := range map[string]bool{"all": false, "nothing": true} {
		b.Run(name, func(b *testing.B) {
			server := gateway.NewServer(nil, logger)
			m := &maker{drivers: &drivers{open: map[string]sandbox.Driver{"namespace": driver}}, loopback: &loopback{aws: server, tls: authority.TLSConfig(servedInside)}}
			var blanks []*environment.Blank
			goroutines, bytes := used()
			b.ReportAllocs()
			for b.Loop() {
				config := m.blankConfig(pool.Kind{Driver: "namespace", MemoryMB: 128, EphemeralStorageMB: 512}, program, nil)
				if bare {
					config.Listen, config.ListenPacket, config.Serve = nil, nil, nil
				}
				blank, err := environment.NewBlank(context.Background(), config)
				if err != nil {
					b.Fatal(err)
				}
				blanks = append(blanks, blank)
			}
			moreGoroutines, moreBytes := used()
			n := float64(len(blanks))
			b.ReportMetric(float64(b.Elapsed())/float64(time.Millisecond)/n, "create-ms")
			b.ReportMetric(float64(moreGoroutines-goroutines)/n, "goroutines")
			b.ReportMetric(float64(moreBytes-bytes)/n/1024, "KiB")
			for _, blank := range blanks {
				if err := blank.Close(context.Background()); err != nil {
					b.Error(err)
				}
			}
			m.loopback.serving.Wait()
		})
	}
}

// used are the goroutines there are, and the bytes of heap and stacks in use.
func used() (goroutines int, bytes int64) {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return runtime.NumGoroutine(), int64(stats.HeapAlloc + stats.StackInuse)
}
