package environment

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/function"
)

// memoryLog copies records, as a log does.
type memoryLog struct{ buffer []byte }

func (l *memoryLog) Append(_ time.Time, record []byte) {
	if len(l.buffer) > 1<<20 {
		l.buffer = l.buffer[:0]
	}
	l.buffer = append(l.buffer, record...)
}

// BenchmarkOutput measures what a line costs from the function to its log: one that the runtime frames, and a thousand
// that the code prints into its pipe.
func BenchmarkOutput(b *testing.B) {
	line := append(bytes.Repeat([]byte("x"), 99), '\n')
	open := func(b *testing.B) *output {
		b.Helper()
		o, err := newOutput()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(o.close)
		o.setSink(&memoryLog{}, function.Logging{Format: "Text"})
		return o
	}
	b.Run("framed", func(b *testing.B) {
		o := open(b)
		b.ReportAllocs()
		for b.Loop() {
			o.Log(line)
		}
	})
	b.Run("printed", func(b *testing.B) {
		o := open(b)
		const lines = 500 // as many as have room in the pipe
		many := bytes.Repeat(line, lines)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := unix.Write(int(o.runtime.writeEnd.Fd()), many); err != nil {
				b.Fatal(err)
			}
			o.flush()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lines), "ns/line")
	})
}
