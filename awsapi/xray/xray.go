// Package xray reads and writes AWS X-Ray's trace header, X-Amzn-Trace-Id: which trace a request belongs to, what sent
// it and whether the trace is recorded. It must not know who sends requests, nor send segments anywhere.
package xray

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// maxHeader is the longest header that is read, in bytes: four times what X-Ray's SDKs write.
const maxHeader = 1024

// Header is a trace header
// (https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader). Its strings are
// empty where the header does not say.
type Header struct {
	// Root is the trace's ID: 1, the time and 96 random bits.
	Root string
	// Parent is the segment that the request comes from, 16 hexadecimal digits.
	Parent string
	// Sampled says whether the trace is recorded.
	Sampled Sampled
	// Lineage counts the functions that led here.
	Lineage Lineage
}

// Sampled is a decision on recording a trace.
type Sampled byte

// The decisions. Whoever gets an undecided request decides.
const (
	Undecided Sampled = iota
	No
	Yes
)

// Parse reads a header of a caller, who may have sent anything: what is not of the right form is as if it were not
// there, and of two fields of a name the first counts. Names may be in any case.
func Parse(text string) Header {
	var h Header
	if len(text) > maxHeader {
		return h
	}
	for len(text) > 0 {
		var field string
		field, text, _ = strings.Cut(text, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		h.take(name, value)
	}
	if h.Root == "" {
		h.Parent = "" // a segment of no trace
	}
	return h
}

func (h *Header) take(name, value string) {
	switch {
	case strings.EqualFold(name, "Root"):
		if h.Root == "" && isRoot(value) {
			h.Root = value
		}
	case strings.EqualFold(name, "Parent"):
		if h.Parent == "" && len(value) == 16 && isHex(value) {
			h.Parent = value
		}
	case strings.EqualFold(name, "Sampled"):
		switch {
		case h.Sampled != Undecided:
		case value == "0":
			h.Sampled = No
		case value == "1":
			h.Sampled = Yes
		}
	case strings.EqualFold(name, "Lineage"):
		if h.Lineage == (Lineage{}) {
			h.Lineage = parseLineage(value)
		}
	}
}

// String writes the header's fields that there are.
func (h Header) String() string {
	b := make([]byte, 0, 112)
	add := func(name, value string) {
		if value == "" {
			return
		}
		if len(b) > 0 {
			b = append(b, ';')
		}
		b = append(append(b, name...), value...)
	}
	add("Root=", h.Root)
	add("Parent=", h.Parent)
	switch h.Sampled {
	case No:
		add("Sampled=", "0")
	case Yes:
		add("Sampled=", "1")
	}
	if h.Lineage.Requests > 0 {
		add("Lineage=", strconv.Itoa(h.Lineage.Requests))
		b = append(append(append(b, ':'), h.Lineage.Resource...), ':')
		b = strconv.AppendInt(b, int64(h.Lineage.Loops), 10)
	}
	return string(b)
}

// NewRoot makes a trace's ID.
func NewRoot(now time.Time) string {
	b := make([]byte, 0, 35)
	b = appendHex(append(b, "1-"...), uint64(now.Unix()), 8)
	b = appendHex(append(b, '-'), rand.Uint64(), 8)
	return string(appendHex(b, rand.Uint64(), 16))
}

// NewSegment makes a segment's ID.
func NewSegment() string { return string(appendHex(make([]byte, 0, 16), rand.Uint64(), 16)) }

// appendHex writes the last digits of a number. An invocation makes several IDs: fmt would take longer than all else.
func appendHex(b []byte, n uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[n>>shift&15])
	}
	return b
}

// isRoot says whether a text is a trace's ID: "1-5759e988-bd862e3fe1be46a994272793".
func isRoot(s string) bool {
	return len(s) == 35 && s[:2] == "1-" && s[10] == '-' && isHex(s[2:10]) && isHex(s[11:])
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (s[i] < '0' || s[i] > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
