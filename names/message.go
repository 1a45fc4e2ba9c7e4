package names

import (
	"errors"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// headerBytes is a message's header (RFC 1035, section 4.1.1).
	headerBytes = 12
	// plainBytes is what every client takes in a datagram (RFC 1035, section 4.2.1).
	plainBytes = 512
	// packetBytes is the most that is sent in a datagram to a client that takes more: it passes every network whole.
	packetBytes = 1232
	// queryBytes is the longest query that is looked at.
	queryBytes = 4096
)

// Types and extended codes that dnsmessage has no name for.
const (
	typeIXFR dnsmessage.Type  = 251 // RFC 1995
	badVers  dnsmessage.RCode = 16  // RFC 6891, section 9
	noOpCode dnsmessage.RCode = 4   // NOTIMP
	typeOPT                   = dnsmessage.TypeOPT
	typeAXFR                  = dnsmessage.TypeAXFR
)

// query is a question and what its asker can take.
type query struct {
	id               uint16
	recursion        bool // asked for
	checkingDisabled bool
	question         dnsmessage.Question
	asked            bool // there is a question to repeat
	// edns says that the asker speaks EDNS (RFC 6891), dnssec that it wants signatures too.
	edns, dnssec bool
	// size is the most bytes of an answer in a datagram.
	size int
}

// parse reads a query. answer is false for what must not be answered at all: no message, or an answer itself. refusal is
// anything but success for what is to be answered with just that.
func parse(message []byte) (q query, refusal dnsmessage.RCode, answer bool) {
	if len(message) < headerBytes || len(message) > queryBytes || message[2]&0x80 != 0 {
		return q, 0, false
	}
	var p dnsmessage.Parser
	header, err := p.Start(message)
	q = query{id: header.ID, recursion: header.RecursionDesired, checkingDisabled: header.CheckingDisabled, size: plainBytes}
	if err != nil {
		return q, dnsmessage.RCodeFormatError, true
	}
	if header.OpCode != 0 {
		return q, noOpCode, true
	}
	// One question, and nothing that only an answer has.
	if message[4] != 0 || message[5] != 1 || message[6]|message[7]|message[8]|message[9] != 0 {
		return q, dnsmessage.RCodeFormatError, true
	}
	if q.question, err = p.Question(); err != nil {
		return q, dnsmessage.RCodeFormatError, true
	}
	q.asked = true
	if p.SkipAllQuestions() != nil || p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return q, dnsmessage.RCodeFormatError, true
	}
	if refusal := q.readEDNS(&p); refusal != dnsmessage.RCodeSuccess {
		return q, refusal, true
	}
	return q, q.refusal(), true
}

// readEDNS looks for the OPT record, of which there is one at most.
func (q *query) readEDNS(p *dnsmessage.Parser) dnsmessage.RCode {
	var version byte
	for {
		header, err := p.AdditionalHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err == nil && header.Type == typeOPT {
			if q.edns || header.Name.String() != "." {
				return dnsmessage.RCodeFormatError
			}
			q.edns, q.dnssec = true, header.DNSSECAllowed()
			q.size = min(max(int(header.Class), plainBytes), packetBytes)
			version = byte(header.TTL >> 16)
		}
		if err != nil || p.SkipAdditional() != nil {
			return dnsmessage.RCodeFormatError
		}
	}
	if version != 0 {
		return badVers
	}
	return dnsmessage.RCodeSuccess
}

// refusal is why a well-formed question is not answered.
func (q *query) refusal() dnsmessage.RCode {
	class, kind := q.question.Class, q.question.Type
	switch {
	case class != dnsmessage.ClassINET && class != dnsmessage.ClassANY:
		return dnsmessage.RCodeRefused
	case kind == typeOPT || kind == 0:
		return dnsmessage.RCodeFormatError
	case kind == typeAXFR || kind == typeIXFR:
		return dnsmessage.RCodeRefused
	}
	return dnsmessage.RCodeSuccess
}

// reply makes an answer.
func (q *query) reply(code dnsmessage.RCode, truncated bool, bodies ...dnsmessage.ResourceBody) []byte {
	message := dnsmessage.Message{Header: dnsmessage.Header{
		ID: q.id, Response: true, RecursionDesired: q.recursion, RecursionAvailable: true,
		CheckingDisabled: q.checkingDisabled, Truncated: truncated, RCode: code & 0xf,
	}}
	if q.asked {
		message.Questions = []dnsmessage.Question{q.question}
	}
	for _, body := range bodies {
		message.Answers = append(message.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.question.Name, Class: dnsmessage.ClassINET, TTL: lifetime}, Body: body,
		})
	}
	if q.edns {
		message.Additionals = []dnsmessage.Resource{q.option(code)}
	}
	packed, err := message.Pack()
	if err != nil {
		return nil // a name that was read can be written; if not, nobody is told anything
	}
	return packed
}

// option is our OPT record.
func (q *query) option(code dnsmessage.RCode) dnsmessage.Resource {
	option := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
	_ = option.Header.SetEDNS0(packetBytes, code, q.dnssec) // its only error is a name of its own, "."
	return option
}
