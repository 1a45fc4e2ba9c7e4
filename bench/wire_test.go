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
	want := []Row{
		{
			Figure: "wire alone, small Invoke", Unit: "us", N: 117061, Value: 10.16, Target: &Target{Most: 40},
			Detail: "61 allocations, 5166 bytes", Failure: "more than 60 allocations",
		},
		{
			Figure: "wire alone, 6 MB Invoke", Unit: "us", N: 242, Value: 4750.824, Target: &Target{},
			Detail: "40 allocations, 6307105 bytes",
		},
	}
	if d := cmp.Diff(want, rows); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
