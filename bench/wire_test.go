package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseBenchmarks(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":        "PASS\n",
		"one is missing": "BenchmarkInvokeSmall-2 100 10160 ns/op 5166 B/op 56 allocs/op\n",
		"no number":      "BenchmarkInvokeSmall-2 100 x ns/op 5166 B/op 56 allocs/op\nBenchmarkInvokeLarge-2 1 2 ns/op 3 B/op 4 allocs/op\n",
	} {
		if rows, err := parseBenchmarks(text); err == nil {
			t.Errorf("%s gives %+v", name, rows)
		}
	}
	rows, err := parseBenchmarks("goos: linux\nBenchmarkInvokeSmall-2   \t  117061\t     10160 ns/op\t    5166 B/op\t      61 allocs/op\n" +
		"BenchmarkInvokeLarge \t 242\t 4750824 ns/op\t1324.29 MB/s\t 6307105 B/op\t 40 allocs/op\nPASS\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []WireRow{
		{Name: "small Invoke", Microseconds: 10.16, Allocations: 61, Allocated: 5166, Within: false},
		{Name: "6 MB Invoke", Microseconds: 4750.824, Allocations: 40, Allocated: 6307105, Within: true},
	}
	if d := cmp.Diff(want, rows); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
