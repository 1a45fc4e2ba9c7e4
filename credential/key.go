package credential

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// accountShift is where an account's number stands in the first 48 bits of an access key identifier.
const accountShift = 7

// NewAccessKeyID makes an identifier of 20 characters as IAM's: four that say what it is (AKIA, ASIA), then base 32
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids). As in AWS's own
// of today the account can be read from it; an empty account leaves all of it to chance.
func NewAccessKeyID(prefix, account string) string {
	var b [10]byte
	fill(b[:])
	if number, err := strconv.ParseUint(account, 10, 40); err == nil {
		var head [8]byte
		copy(head[2:], b[:6])
		// The first bit stays set, which tells these from identifiers that are random, at least half of the time.
		bits := binary.BigEndian.Uint64(head[:])&(1<<accountShift-1) | number<<accountShift | 1<<47
		binary.BigEndian.PutUint64(head[:], bits)
		copy(b[:6], head[2:])
	}
	return prefix + base32.StdEncoding.EncodeToString(b[:])
}

// AccountOf reads the account from an access key identifier. What it says of an identifier that was not made with an
// account means nothing; ok is false where it cannot have been.
func AccountOf(accessKeyID string) (account string, ok bool) {
	if len(accessKeyID) != 20 {
		return "", false
	}
	b, err := base32.StdEncoding.DecodeString(strings.ToUpper(accessKeyID[4:]))
	if err != nil || b[0]&0x80 == 0 {
		return "", false
	}
	var head [8]byte
	copy(head[2:], b[:6])
	number := binary.BigEndian.Uint64(head[:]) & (1<<47 - 1) >> accountShift
	return fmt.Sprintf("%012d", number), number < 1e12
}

// NewSecret makes a secret access key of 40 characters.
func NewSecret() string {
	b := make([]byte, 30)
	fill(b)
	return base64.StdEncoding.EncodeToString(b)
}

// fill takes random bytes; crypto/rand never fails since Go 1.24.
func fill(b []byte) { _, _ = rand.Read(b) }
