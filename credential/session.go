package credential

import (
	"bytes"
	"compress/flate"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"hotaru/awsapi"
	"hotaru/policy"
)

// Sealer seals session tokens.
type Sealer interface {
	Seal(context string, plain []byte) []byte
	Unseal(context string, sealed []byte) ([]byte, error)
}

// Session is what a temporary credential stands for. All of it travels, sealed, in the session token, so that making
// one writes nothing.
type Session struct {
	// AccessKeyID, Issued and Expires are set by Mint; times are whole seconds.
	AccessKeyID     string
	Issued, Expires time.Time
	// Account, ARN and UserID are the identity: a role's session
	// (arn:aws:sts::123456789012:assumed-role/role/session, "AROA...:session"), a user or the root user.
	Account, ARN, UserID string
	// Policy is the text of the inline session policy, PolicyARNs the managed ones. With neither the session is not
	// limited.
	Policy     string
	PolicyARNs []string
	// Tags are the session's own; those whose keys are Transitive are handed on to sessions made from this one.
	Tags       []policy.Tag
	Transitive []string
	// SourceIdentity is who began a chain of sessions.
	SourceIdentity string

	// document is Policy, compiled.
	document *policy.Document
}

// Identity is who signs with the session's credential.
func (s *Session) Identity() awsapi.Identity {
	return awsapi.Identity{Account: s.Account, ARN: s.ARN, UserID: s.UserID, AccessKeyID: s.AccessKeyID}
}

// Document is the inline session policy, compiled; nil without one.
func (s *Session) Document() *policy.Document { return s.document }

// wire is a session in its token. Members are short because they travel with every request.
type wire struct {
	AccessKeyID    string      `json:"k"`
	Account        string      `json:"a"`
	ARN            string      `json:"r"`
	UserID         string      `json:"u"`
	Issued         int64       `json:"i"`
	Expires        int64       `json:"e"`
	Policy         string      `json:"p,omitempty"`
	PolicyARNs     []string    `json:"m,omitempty"`
	Tags           [][2]string `json:"t,omitempty"`
	Transitive     []string    `json:"c,omitempty"`
	SourceIdentity string      `json:"s,omitempty"`
}

const (
	sealContext = "credential/session"
	// deflated stands before a token's content that is compressed; other content begins with a brace.
	deflated = 1
	// worthDeflating is the size in bytes from which compression pays.
	worthDeflating = 400
	// maxContent bounds what is read back, in bytes.
	maxContent = 1 << 20
	// packedAllotment is what policies and tags may take together when packed, in bytes.
	packedAllotment = 4096
)

func (s *Session) wire() wire {
	w := wire{
		AccessKeyID: s.AccessKeyID, Account: s.Account, ARN: s.ARN, UserID: s.UserID, Issued: s.Issued.Unix(),
		Expires: s.Expires.Unix(), Policy: s.Policy, PolicyARNs: s.PolicyARNs, Transitive: s.Transitive,
		SourceIdentity: s.SourceIdentity,
	}
	for _, t := range s.Tags {
		w.Tags = append(w.Tags, [2]string{t.Key, t.Value})
	}
	return w
}

func (w wire) session() *Session {
	s := &Session{
		AccessKeyID: w.AccessKeyID, Account: w.Account, ARN: w.ARN, UserID: w.UserID, Issued: time.Unix(w.Issued, 0),
		Expires: time.Unix(w.Expires, 0), Policy: w.Policy, PolicyARNs: w.PolicyARNs, Transitive: w.Transitive,
		SourceIdentity: w.SourceIdentity,
	}
	for _, t := range w.Tags {
		s.Tags = append(s.Tags, policy.Tag{Key: t[0], Value: t[1]})
	}
	if s.Policy != "" {
		var err error
		if s.document, err = policy.Parse(s.Policy); err != nil {
			s.document = policy.DenyAll()
		}
	}
	return s
}

// Packed is how much of the space for policies and tags they take, in percent, at least 1. More than 100 is too much
// for STS. Without policies and tags it is 0.
func (s *Session) Packed() (percent int, err error) {
	if s.Policy == "" && s.PolicyARNs == nil && s.Tags == nil {
		return 0, nil
	}
	text, err := json.Marshal(wire{Policy: s.Policy, PolicyARNs: s.PolicyARNs, Tags: s.wire().Tags})
	if err != nil {
		return 0, fmt.Errorf("credential: %w", err)
	}
	packed, err := deflate(nil, text)
	return max(1, (len(packed)*100+packedAllotment-1)/packedAllotment), err
}

// Mint makes a temporary credential for an identity without anything else to say. It costs no I/O.
func (a *Authority) Mint(who awsapi.Identity, lifetime time.Duration) (Credential, error) {
	return a.MintSession(&Session{Account: who.Account, ARN: who.ARN, UserID: who.UserID}, lifetime)
}

// MintSession makes a temporary credential for a session, and sets what a session gets when it is made. It costs no
// I/O.
func (a *Authority) MintSession(s *Session, lifetime time.Duration) (Credential, error) {
	s.AccessKeyID = NewAccessKeyID("ASIA", s.Account)
	s.Issued = a.now().UTC().Truncate(time.Second)
	s.Expires = s.Issued.Add(lifetime)
	text, err := json.Marshal(s.wire())
	if err == nil && len(text) >= worthDeflating {
		text, err = deflate([]byte{deflated}, text)
	}
	if err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	token := base64.StdEncoding.EncodeToString(a.Sealer.Seal(sealContext, text))
	return Credential{s.AccessKeyID, a.secret(token), token}, nil
}

func deflate(head, text []byte) ([]byte, error) {
	out := bytes.NewBuffer(head)
	w, err := flate.NewWriter(out, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// verified is a session token that was opened, with the secret that belongs to it.
type verified struct {
	token   string
	secret  string
	session *Session
}

// verify opens a session token.
func (a *Authority) verify(accessKeyID, token string) (*verified, error) {
	v, found := a.verified.get(accessKeyID)
	if !found || subtle.ConstantTimeCompare([]byte(v.token), []byte(token)) != 1 {
		session, err := a.open(accessKeyID, token)
		if err != nil {
			return nil, err
		}
		v = &verified{token: token, secret: a.secret(token), session: session}
		a.verified.put(accessKeyID, v)
	}
	if a.now().After(v.session.Expires) {
		return nil, ErrExpired
	}
	return v, nil
}

func (a *Authority) open(accessKeyID, token string) (*Session, error) {
	sealed, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return nil, ErrInvalid
	}
	text, err := a.Sealer.Unseal(sealContext, sealed)
	if err != nil || len(text) == 0 {
		return nil, ErrInvalid
	}
	if text[0] == deflated {
		if text, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(text[1:])), maxContent)); err != nil {
			return nil, ErrInvalid
		}
	}
	var w wire
	if err := json.Unmarshal(text, &w); err != nil || w.AccessKeyID != accessKeyID {
		return nil, ErrInvalid
	}
	return w.session(), nil
}

// Session is the session of an access key whose token Lookup has just found good. It is shared: nobody may change it.
func (a *Authority) Session(accessKeyID string) (*Session, bool) {
	v, found := a.verified.get(accessKeyID)
	if !found {
		return nil, false
	}
	return v.session, true
}

func (a *Authority) secret(token string) string {
	mac := hmac.New(sha256.New, a.Key)
	mac.Write([]byte(token))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))[:40]
}

// sessionsKept is the most sessions of one generation of the cache; two are kept.
const sessionsKept = 2048

// sessionCache keeps the sessions that were used last, by access key: opening a token costs more than everything else
// that is checked of it, and what evaluates a request's policies finds the session here. The zero value is ready.
type sessionCache struct {
	mu           sync.RWMutex
	young, older map[string]*verified
}

func (c *sessionCache) get(accessKeyID string) (*verified, bool) {
	c.mu.RLock()
	v, young := c.young[accessKeyID]
	found := young
	if !young {
		v, found = c.older[accessKeyID]
	}
	c.mu.RUnlock()
	if found && !young {
		c.put(accessKeyID, v)
	}
	return v, found
}

func (c *sessionCache) put(accessKeyID string, v *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= sessionsKept || c.young == nil {
		c.young, c.older = make(map[string]*verified, 16), c.young
	}
	c.young[accessKeyID] = v
}
