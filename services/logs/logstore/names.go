package logstore

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"hotaru/awsapi"
)

// groupKey names a group in the whole store.
type groupKey struct {
	scope awsapi.Scope
	name  string
}

// encode is the key's form in a segment's header and beneath its directory's digest: unambiguous for any bytes.
func (k groupKey) encode() []byte {
	b := appendBytes(nil, k.scope.Partition)
	b = appendBytes(b, k.scope.Account)
	b = appendBytes(b, k.scope.Region)
	return appendBytes(b, k.name)
}

func decodeGroupKey(b []byte) (groupKey, bool) {
	f := fields{rest: b}
	var k groupKey
	k.scope.Partition = string(f.bytes())
	k.scope.Account = string(f.bytes())
	k.scope.Region = string(f.bytes())
	k.name = string(f.bytes())
	return k, !f.bad && len(f.rest) == 0
}

// dir is the group's directory. Only the digest distinguishes: a hostile name can neither leave the store nor meet
// another group, whatever the file system thinks of case and length. The readable part is for people.
func (k groupKey) dir() string {
	readable := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, k.name)
	if len(readable) > 60 {
		readable = readable[len(readable)-60:]
	}
	digest := sha256.Sum256(k.encode())
	return readable + "~" + hex.EncodeToString(digest[:16])
}
