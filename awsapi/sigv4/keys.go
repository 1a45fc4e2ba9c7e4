package sigv4

import (
	"crypto/subtle"
	"sync"
)

// cacheSize is the most signing keys of one generation; two are kept.
const cacheSize = 512

// keyCache keeps signing keys: a key is good for a day, a region and a service. The zero value is ready.
type keyCache struct {
	mu           sync.Mutex
	young, older map[scope]signingKey
}

// signingKey remembers what it was made from, so that a changed secret is never served an old key.
type signingKey struct{ secret, key []byte }

func (k *keyCache) get(s scope, secret []byte) []byte {
	k.mu.Lock()
	found, ok := k.young[s]
	if !ok {
		if found, ok = k.older[s]; ok {
			k.putLocked(s, found)
		}
	}
	k.mu.Unlock()
	if ok && subtle.ConstantTimeCompare(found.secret, secret) == 1 {
		return found.key
	}
	made := signingKey{append([]byte(nil), secret...), derive(s, secret)}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.putLocked(s, made)
	return made.key
}

func (k *keyCache) putLocked(s scope, key signingKey) {
	if len(k.young) >= cacheSize || k.young == nil {
		k.young, k.older = make(map[scope]signingKey, 16), k.young
	}
	k.young[s] = key
}

// derive makes a signing key of a secret.
func derive(s scope, secret []byte) []byte {
	key := hmacSHA256(append([]byte("AWS4"), secret...), []byte(s.date))
	for _, part := range []string{s.region, s.service, s.end} {
		key = hmacSHA256(key, []byte(part))
	}
	return key
}
