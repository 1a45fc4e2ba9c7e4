package names

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// ask packs a question; change may spoil it first.
func ask(t testing.TB, name string, kind dnsmessage.Type, change ...func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 0xabcd, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	for _, f := range change {
		f(&m)
	}
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// edns adds an OPT record.
func edns(size int, ttl uint32) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		option := dnsmessage.Resource{Body: &dnsmessage.OPTResource{Options: []dnsmessage.Option{{Code: 10, Data: []byte("cookie12")}}}}
		_ = option.Header.SetEDNS0(size, 0, false)
		option.Header.TTL = ttl
		m.Additionals = append(m.Additionals, option)
	}
}

func unpack(t testing.TB, message []byte) dnsmessage.Message {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(message); err != nil {
		t.Fatalf("%v: %x", err, message)
	}
	return m
}

func TestUnanswered(t *testing.T) {
	whole := ask(t, "sts.amazonaws.com.", dnsmessage.TypeA)
	for name, message := range map[string][]byte{
		"nothing": nil, "half a header": whole[:headerBytes-1],
		"an answer": ask(t, "sts.amazonaws.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Response = true }),
		"too long":  append(bytes.Clone(whole), make([]byte, queryBytes)...),
	} {
		if _, _, answer := parse(message); answer {
			t.Errorf("%s is answered", name)
		}
	}
}

func TestRefusals(t *testing.T) {
	type message = dnsmessage.Message
	whole := ask(t, "sts.amazonaws.com.", dnsmessage.TypeA)
	spoil := func(at int, b byte) []byte {
		spoilt := bytes.Clone(whole)
		spoilt[at] = b
		return spoilt
	}
	class := func(c dnsmessage.Class) func(*message) { return func(m *message) { m.Questions[0].Class = c } }
	for _, tc := range []struct {
		name    string
		message []byte
		want    dnsmessage.RCode
	}{
		{"a header alone", whole[:headerBytes], dnsmessage.RCodeFormatError},
		{"a cut name", whole[:headerBytes+3], dnsmessage.RCodeFormatError},
		{"a cut type", whole[:len(whole)-3], dnsmessage.RCodeFormatError},
		{"no question", spoil(5, 0), dnsmessage.RCodeFormatError},
		{"two questions", spoil(5, 2), dnsmessage.RCodeFormatError},
		{"256 questions", spoil(4, 1), dnsmessage.RCodeFormatError},
		{"an answer inside", spoil(7, 1), dnsmessage.RCodeFormatError},
		{"an authority inside", spoil(9, 1), dnsmessage.RCodeFormatError},
		{"an additional that is missing", spoil(11, 1), dnsmessage.RCodeFormatError},
		{"a dot in a label", spoil(headerBytes+2, '.'), dnsmessage.RCodeFormatError},
		{"a reserved label", spoil(headerBytes, 0x83), dnsmessage.RCodeFormatError},
		{"a name that points at itself", append(spoil(5, 1)[:headerBytes], 0xc0, headerBytes, 0, 1, 0, 1), dnsmessage.RCodeFormatError},
		{"a status request", ask(t, "a.", 1, func(m *message) { m.OpCode = 2 }), noOpCode},
		{"an update", ask(t, "a.", 1, func(m *message) { m.OpCode = 5 }), noOpCode},
		{"class CHAOS", ask(t, "version.bind.", dnsmessage.TypeTXT, class(dnsmessage.ClassCHAOS)), dnsmessage.RCodeRefused},
		{"class 0", ask(t, "a.", 1, class(0)), dnsmessage.RCodeRefused},
		{"a transfer", ask(t, "amazonaws.com.", dnsmessage.TypeAXFR), dnsmessage.RCodeRefused},
		{"an incremental transfer", ask(t, "amazonaws.com.", typeIXFR), dnsmessage.RCodeRefused},
		{"type 0", ask(t, "a.", 0), dnsmessage.RCodeFormatError},
		{"type OPT", ask(t, "a.", dnsmessage.TypeOPT), dnsmessage.RCodeFormatError},
		{"two OPT records", ask(t, "a.", 1, edns(1232, 0), edns(512, 0)), dnsmessage.RCodeFormatError},
		{"EDNS version 1", ask(t, "a.", 1, edns(1232, 1<<16)), badVers},
	} {
		q, refusal, answer := parse(tc.message)
		if !answer || refusal != tc.want {
			t.Errorf("%s: %v %v", tc.name, answer, refusal)
			continue
		}
		got := unpack(t, q.reply(refusal, false))
		code := got.RCode
		for _, r := range got.Additionals {
			code = r.Header.ExtendedRCode(code)
		}
		if got.ID != 0xabcd || !got.Response || code != tc.want || len(got.Answers) != 0 {
			t.Errorf("%s: answered with %+v", tc.name, got)
		}
	}
}

func TestAnswers(t *testing.T) {
	zone := &Zone{AWS: true, Own: []string{"env-1"}}
	for _, tc := range []struct {
		message []byte
		code    dnsmessage.RCode
		want    string
	}{
		{ask(t, "sTs.US-east-1.AMAZONAWS.com.", dnsmessage.TypeA), 0, "127.0.0.1"},
		{ask(t, "sts.amazonaws.com.", dnsmessage.TypeAAAA), 0, ""},
		{ask(t, "sts.amazonaws.com.", 65), 0, ""},
		{ask(t, "sts.amazonaws.com.", dnsmessage.TypeALL), 0, "127.0.0.1"},
		{ask(t, "sts.amazonaws.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassANY }), 0, "127.0.0.1"},
		{ask(t, "env-1.", dnsmessage.TypeA, edns(4096, 0)), 0, "127.0.0.1"},
		{ask(t, "1.0.0.127.in-addr.arpa.", dnsmessage.TypePTR, edns(0, 0x8000)), 0, "localhost."},
		{ask(t, "example.com.", dnsmessage.TypeA, edns(512, 0)), dnsmessage.RCodeNameError, ""},
		{ask(t, ".", dnsmessage.TypeNS), dnsmessage.RCodeNameError, ""},
		{ask(t, strings.Repeat("a.", 126)+"a.", dnsmessage.TypeA), dnsmessage.RCodeNameError, ""},
	} {
		q, refusal, answer := parse(tc.message)
		reply, known := zone.answer(&q, refusal)
		if !answer || !known {
			t.Fatalf("%x: not answered", tc.message)
		}
		got, asked := unpack(t, reply), unpack(t, tc.message)
		text := ""
		for _, r := range got.Answers {
			switch body := r.Body.(type) {
			case *dnsmessage.AResource:
				text += netip.AddrFrom4(body.A).String()
			case *dnsmessage.PTRResource:
				text += body.PTR.String()
			}
			if r.Header.Name != asked.Questions[0].Name || r.Header.Class != dnsmessage.ClassINET || r.Header.TTL != lifetime {
				t.Errorf("%v: %+v", asked.Questions[0], r.Header)
			}
		}
		if got.RCode != tc.code || text != tc.want || got.ID != asked.ID || !got.RecursionAvailable || got.Truncated || got.Authoritative {
			t.Errorf("%v: %+v", asked.Questions[0], got)
		}
		// The question comes back letter for letter, and EDNS only where it was spoken.
		if len(got.Questions) != 1 || got.Questions[0] != asked.Questions[0] || len(got.Additionals) != len(asked.Additionals) {
			t.Errorf("%v comes back as %+v %+v", asked.Questions[0], got.Questions, got.Additionals)
		}
		for i, r := range got.Additionals {
			if body, ok := r.Body.(*dnsmessage.OPTResource); !ok || len(body.Options) != 0 || r.Header.DNSSECAllowed() != asked.Additionals[i].Header.DNSSECAllowed() {
				t.Errorf("EDNS: %+v", r)
			}
		}
		if len(reply) > plainBytes {
			t.Errorf("%v: %d bytes", asked.Questions[0], len(reply))
		}
	}
}

func TestSize(t *testing.T) {
	for size, want := range map[int]int{0: 512, 511: 512, 513: 513, 4096: packetBytes, 65535: packetBytes} {
		if q, _, _ := parse(ask(t, "a.", 1, edns(size, 0))); q.size != want {
			t.Errorf("%d: %d", size, q.size)
		}
	}
	if q, _, _ := parse(ask(t, "a.", 1)); q.size != plainBytes {
		t.Errorf("without EDNS: %d", q.size)
	}
}

// Whatever comes in, what goes out is well-formed, short, and about the same.
func FuzzAnswer(f *testing.F) {
	f.Add(ask(f, "sts.amazonaws.com.", dnsmessage.TypeA, edns(1232, 0)))
	f.Add(ask(f, "1.0.0.127.in-addr.arpa.", dnsmessage.TypePTR))
	f.Add(ask(f, "a.", dnsmessage.TypeAXFR, edns(1232, 1<<16)))
	zone := &Zone{AWS: true, Own: []string{"env-1"}}
	f.Fuzz(func(t *testing.T, message []byte) {
		q, refusal, answer := parse(message)
		if !answer {
			return
		}
		reply, known := zone.answer(&q, refusal)
		if !known || len(reply) < headerBytes || len(reply) > 2*plainBytes || len(reply) > len(message)+300 {
			t.Fatalf("%d bytes on %d", len(reply), len(message))
		}
		got := unpack(t, reply)
		if !got.Response || !bytes.Equal(reply[:2], message[:2]) {
			t.Fatalf("%x is answered with %x", message, reply)
		}
		if refusal == dnsmessage.RCodeSuccess {
			if asked, err := q.upstream(); err != nil || len(questionOf(asked)) > 255+4 {
				t.Fatalf("%x goes on as %x: %v", message, asked, err)
			}
		}
	})
}
