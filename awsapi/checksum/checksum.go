// Package checksum has the checksums that AWS lets callers send beside a payload
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html). It must not know where a
// checksum travels.
package checksum

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"strings"
)

// Prefix starts the names of the headers and trailers that carry checksums, in lower case.
const Prefix = "x-amz-checksum-"

// nvme is the polynomial of CRC-64/NVME, its bits reflected as hash/crc64 wants them.
const nvme = 0x9a6c9329ac4bc9b5

// Sum is a checksum in the making. Write what it covers, then ask Matches.
type Sum struct {
	hash.Hash
	// Header is the lower-case name that the checksum travels under.
	Header string
}

// New starts the checksum of a header's or trailer's name, in lower case; it is not ok for any other name.
func New(header string) (*Sum, bool) {
	algorithm, ok := strings.CutPrefix(header, Prefix)
	if !ok {
		return nil, false
	}
	var h hash.Hash
	switch algorithm {
	case "crc32":
		h = crc32.NewIEEE()
	case "crc32c":
		h = crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "crc64nvme":
		h = crc64.New(crc64.MakeTable(nvme))
	case "sha1":
		h = sha1.New()
	case "sha256":
		h = sha256.New()
	default:
		return nil, false
	}
	return &Sum{h, header}, true
}

// Algorithm is how AWS writes the algorithm in messages and members: "CRC32C".
func (s *Sum) Algorithm() string { return strings.ToUpper(strings.TrimPrefix(s.Header, Prefix)) }

// Text is the checksum as it travels: base64, the most significant byte first.
func (s *Sum) Text() string { return base64.StdEncoding.EncodeToString(s.Sum(nil)) }

// Matches compares with a text that travelled. Valid says whether the text is a checksum of this kind at all.
func (s *Sum) Matches(text string) (valid, equal bool) {
	given, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(given) != s.Size() {
		return false, false
	}
	return true, subtle.ConstantTimeCompare(given, s.Sum(nil)) == 1
}
