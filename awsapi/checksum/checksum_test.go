package checksum

import (
	"encoding/hex"
	"io"
	"testing"
)

// TestCheckValues holds each algorithm to the value that its definition gives for "123456789".
func TestCheckValues(t *testing.T) {
	for _, name := range []string{"", "crc32", "x-amz-checksum-", "x-amz-checksum-md5", "X-Amz-Checksum-Crc32", "x-amz-checksum-crc32 "} {
		if _, ok := New(name); ok {
			t.Errorf("%q is a checksum", name)
		}
	}
	for _, c := range []struct{ name, algorithm, want string }{
		{"crc32", "CRC32", "cbf43926"},
		{"crc32c", "CRC32C", "e3069283"},
		{"crc64nvme", "CRC64NVME", "ae8b14860a799888"},
		{"sha1", "SHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"},
		{"sha256", "SHA256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"},
	} {
		sum, ok := New(Prefix + c.name)
		if !ok {
			t.Errorf("%s is missing", c.name)
			continue
		}
		if _, err := io.WriteString(sum, "123456789"); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != c.want || sum.Algorithm() != c.algorithm {
			t.Errorf("%s (%s) is %s, want %s", c.name, sum.Algorithm(), got, c.want)
		}
		for text, want := range map[string][2]bool{"": {}, "*": {}, "AAAA": {}, sum.Text(): {true, true}} {
			if valid, equal := sum.Matches(text); [2]bool{valid, equal} != want {
				t.Errorf("%s: %q is %v %v", c.name, text, valid, equal)
			}
		}
		text := sum.Text()
		if _, err := io.WriteString(sum, "0"); err != nil {
			t.Fatal(err)
		}
		if valid, equal := sum.Matches(text); !valid || equal {
			t.Errorf("%s: the checksum of other bytes is %v %v", c.name, valid, equal)
		}
	}
}
