package xray

import (
	"strconv"
	"strings"
)

// The most that a lineage counts to.
const (
	maxRequests = 1<<15 - 1
	maxLoops    = 1<<8 - 1
)

// Lineage counts the functions that one event has passed. AWS writes it as REQUESTS:RESOURCE:LOOPS and documents an
// older form alone, which is not read here. Only Lambda looks at it; everybody else passes it on.
type Lineage struct {
	// Requests is how many invocations led here, this one too; 0 where there is no lineage.
	Requests int
	// Resource is the first function's, 8 hexadecimal digits; Loops how often the event has come back to it.
	Resource string
	Loops    int
}

// Next is the lineage of an event that comes to the function that the parts of a name name.
func (l Lineage) Next(name ...string) Lineage {
	// FNV-1a (https://www.rfc-editor.org/rfc/rfc9923), written out because it runs with every invocation.
	hash := uint32(2166136261)
	for _, part := range name {
		for i := range len(part) {
			hash = (hash ^ uint32(part[i])) * 16777619
		}
		hash = (hash ^ ':') * 16777619
	}
	resource := string(appendHex(make([]byte, 0, 8), uint64(hash), 8))
	if l.Requests == 0 {
		return Lineage{Requests: 1, Resource: resource}
	}
	l.Requests = min(l.Requests+1, maxRequests)
	if strings.EqualFold(l.Resource, resource) {
		l.Loops = min(l.Loops+1, maxLoops)
	}
	return l
}

func parseLineage(text string) Lineage {
	first, rest, _ := strings.Cut(text, ":")
	resource, last, _ := strings.Cut(rest, ":")
	requests, badRequests := strconv.ParseUint(first, 10, 15)
	loops, badLoops := strconv.ParseUint(last, 10, 8)
	if badRequests != nil || badLoops != nil || requests == 0 || len(resource) != 8 || !isHex(resource) {
		return Lineage{}
	}
	return Lineage{int(requests), resource, int(loops)}
}
