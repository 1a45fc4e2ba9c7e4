package names

import (
	"net/netip"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the host's configuration is looked at again, while there are questions.
const lookEvery = time.Second

// Resolvers are the host's resolvers, as a resolv.conf file names them at the moment: networks come and go. It is safe
// for concurrent use.
type Resolvers struct {
	path string

	mu      sync.Mutex // guards the rest
	looked  time.Time
	changed time.Time // the file's, when it was read
	size    int64
	servers []netip.AddrPort
}

// FollowResolvers follows a resolv.conf file. Only its name servers count: the host's search domains are nobody's
// business inside.
func FollowResolvers(path string) *Resolvers { return &Resolvers{path: path} }

// Servers are the resolvers now; none where the file cannot be read.
func (r *Resolvers) Servers() []netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.looked) >= lookEvery {
		r.looked = now
		r.lookLocked()
	}
	return r.servers
}

// lookLocked reads the file if it has changed. It may be a link to another one by now.
func (r *Resolvers) lookLocked() {
	info, err := os.Stat(r.path)
	if err != nil {
		r.servers, r.size, r.changed = nil, 0, time.Time{}
		return
	}
	if info.ModTime().Equal(r.changed) && info.Size() == r.size {
		return
	}
	content, err := os.ReadFile(r.path)
	if err != nil {
		r.servers, r.size, r.changed = nil, 0, time.Time{}
		return
	}
	r.servers, r.size, r.changed = Nameservers(string(content)), info.Size(), info.ModTime()
}
