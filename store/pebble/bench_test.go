package pebble_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"hotaru/store"
)

// BenchmarkCommit measures fsynced commits of 200 bytes.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 32} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, b.TempDir())
			defer s.Close()
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					value := make([]byte, 200)
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						c := store.Change{Key: store.NewKey("bench", fmt.Sprint(n%10_000)), Value: value}
						if _, err := s.Commit(b.Context(), c); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, b.TempDir())
	defer s.Close()
	key := store.NewKey("aws", "123456789012", "us-east-1", "function", "name")
	if _, err := s.Commit(b.Context(), store.Change{Key: key, Value: make([]byte, 200)}); err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Get(b.Context(), key); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	b.Run("new", func(b *testing.B) {
		dir := b.TempDir()
		for n := range b.N {
			if err := open(b, filepath.Join(dir, fmt.Sprint(n))).Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("existing", func(b *testing.B) {
		dir := b.TempDir()
		for range b.N {
			s := open(b, dir)
			b.StopTimer()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
}
