package credential

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hotaru/awsapi"
	"hotaru/policy"
	"hotaru/store/seal"
)

const account = "123456789012"

// users is one user with one access key.
type users struct{ id string }

func (u users) AccessKey(scope awsapi.Scope, id string) (string, awsapi.Identity, bool) {
	if id != u.id || scope.Account != account || scope.Partition != "aws" {
		return "", awsapi.Identity{}, false
	}
	return "secret", awsapi.Identity{Account: account, ARN: "arn:aws:iam::" + account + ":user/alice"}, true
}

func newAuthority(t testing.TB) (*Authority, *time.Time) {
	t.Helper()
	dir := t.TempDir()
	sealer, err := seal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	root, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &Authority{Root: root, Partition: "aws", Account: account, Sealer: sealer, Key: sealer.Derive("test"),
		Now: func() time.Time { return now }}, &now
}

func worker() *Session {
	return &Session{Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/worker/s", UserID: "AROAAAAAAAAAAAAAAAAAA:s"}
}

func TestTokensThatAreRefused(t *testing.T) {
	a, now := newAuthority(t)
	c, err := a.MintSession(worker(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	other, err := a.MintSession(worker(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := newAuthority(t)
	foreign, err := stranger.MintSession(worker(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(c.SessionToken)
	flipped[len(flipped)/2] ^= 1
	for name, use := range map[string][2]string{
		"another session's token":  {c.AccessKeyID, other.SessionToken},
		"another Hotaru's":         {foreign.AccessKeyID, foreign.SessionToken},
		"a changed one":            {c.AccessKeyID, string(flipped)},
		"a short one":              {c.AccessKeyID, c.SessionToken[:20]},
		"no base 64":               {c.AccessKeyID, "%"},
		"the root's key":           {a.Root.AccessKeyID, c.SessionToken},
		"sealed for another place": {c.AccessKeyID, base64.StdEncoding.EncodeToString(a.Sealer.Seal("elsewhere", []byte("{}")))},
		"an empty one":             {c.AccessKeyID, base64.StdEncoding.EncodeToString(a.Sealer.Seal(sealContext, nil))},
		"one that is not JSON":     {c.AccessKeyID, base64.StdEncoding.EncodeToString(a.Sealer.Seal(sealContext, []byte("x")))},
		"a torn compressed one":    {c.AccessKeyID, base64.StdEncoding.EncodeToString(a.Sealer.Seal(sealContext, []byte{deflated, 0xff}))},
	} {
		// Once before the right one was seen, once after.
		for range 2 {
			if _, who, err := a.Lookup(t.Context(), use[0], use[1]); !errors.Is(err, ErrInvalid) || who != (awsapi.Identity{}) {
				t.Errorf("%s: %v, %v", name, who, err)
			}
			if _, _, err := a.Lookup(t.Context(), c.AccessKeyID, c.SessionToken); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, ok := a.Session(other.AccessKeyID); ok {
		t.Error("a session is known whose token nobody has shown")
	}
	*now = now.Add(time.Hour + time.Second)
	for range 2 {
		if _, _, err := a.Lookup(t.Context(), c.AccessKeyID, c.SessionToken); !errors.Is(err, ErrExpired) {
			t.Errorf("after its end: %v", err)
		}
	}
}

func TestLongTermKeys(t *testing.T) {
	a, _ := newAuthority(t)
	id := NewAccessKeyID("AKIA", account)
	if _, _, err := a.Lookup(t.Context(), id, ""); !errors.Is(err, ErrUnknown) {
		t.Errorf("without users: %v", err)
	}
	a.Users = users{id}
	for _, unknown := range []string{"", "AKIA", NewAccessKeyID("AKIA", account), NewAccessKeyID("AKIA", "999999999999"), "é"} {
		if _, _, err := a.Lookup(t.Context(), unknown, ""); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", unknown, err)
		}
	}
	secret, who, err := a.Lookup(t.Context(), id, "")
	if err != nil || secret != "secret" || !strings.HasSuffix(who.ARN, ":user/alice") {
		t.Errorf("%v %v", who, err)
	}
	secret, who, err = a.Lookup(t.Context(), a.Root.AccessKeyID, "")
	if err != nil || secret != a.Root.SecretAccessKey || who.ARN != "arn:aws:iam::"+account+":root" {
		t.Errorf("%v %v", who, err)
	}
}

func TestSessionsKeepWhatTheyHold(t *testing.T) {
	a, _ := newAuthority(t)
	full := worker()
	full.Policy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`
	full.PolicyARNs = []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}
	for i := range 50 {
		full.Tags = append(full.Tags, policy.Tag{Key: fmt.Sprint("key-", i), Value: strings.Repeat("v", 50)})
	}
	full.Transitive, full.SourceIdentity = []string{"key-1"}, "someone"
	for name, s := range map[string]*Session{"plain": worker(), "full": full} {
		c, err := a.MintSession(s, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if limit := map[string]int{"plain": 500, "full": 2000}[name]; len(c.SessionToken) > limit {
			t.Errorf("%s: a token of %d bytes", name, len(c.SessionToken))
		}
		secret, who, err := a.Lookup(t.Context(), c.AccessKeyID, c.SessionToken)
		if err != nil || secret != c.SecretAccessKey || who != s.Identity() || who.AccessKeyID != c.AccessKeyID {
			t.Errorf("%s: %v %v", name, who, err)
		}
		got, ok := a.Session(c.AccessKeyID)
		if !ok {
			t.Fatalf("%s: not known", name)
		}
		if diff := cmp.Diff(s, got, cmpopts.IgnoreUnexported(Session{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if (got.Document() != nil) != (s.Policy != "") {
			t.Errorf("%s: the policy is compiled: %v", name, got.Document() != nil)
		}
	}
	if percent, err := full.Packed(); err != nil || percent < 1 || percent > 50 {
		t.Errorf("packed: %d%%, %v", percent, err)
	}
	if percent, err := worker().Packed(); err != nil || percent != 0 {
		t.Errorf("packed without anything: %d%%, %v", percent, err)
	}
}

// TestCacheForgets: only so many sessions are kept, and a forgotten one is opened again.
func TestCacheForgets(t *testing.T) {
	a, _ := newAuthority(t)
	first, err := a.MintSession(worker(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	show := func(c Credential) {
		t.Helper()
		if _, _, err := a.Lookup(t.Context(), c.AccessKeyID, c.SessionToken); err != nil {
			t.Fatal(err)
		}
	}
	show(first)
	for range 2*sessionsKept + 2 {
		c, err := a.MintSession(worker(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		show(c)
	}
	if _, ok := a.Session(first.AccessKeyID); ok {
		t.Error("everything is kept")
	}
	if n := len(a.verified.young) + len(a.verified.older); n > 2*sessionsKept {
		t.Errorf("%d sessions are kept", n)
	}
	show(first)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				show(first)
			}
		})
	}
	wg.Wait()
}

func TestAccessKeyIDs(t *testing.T) {
	seen := map[string]bool{}
	for _, account := range []string{"000000000000", "000000000001", account, "999999999999"} {
		for range 20 {
			id := NewAccessKeyID("AKIA", account)
			got, ok := AccountOf(id)
			if len(id) != 20 || !strings.HasPrefix(id, "AKIA") || !ok || got != account || seen[id] {
				t.Errorf("%s is of account %s, not %s", id, got, account)
			}
			seen[id] = true
		}
	}
	if id := NewAccessKeyID("ASIA", ""); len(id) != 20 || !strings.HasPrefix(id, "ASIA") {
		t.Errorf("without account: %s", id)
	}
	for _, bad := range []string{"", "AKIA", "AKIA0000000000000000", "AKIAAAAAAAAAAAAAAAAA", strings.Repeat("é", 10)} {
		if got, ok := AccountOf(bad); ok {
			t.Errorf("%q is of account %s", bad, got)
		}
	}
}

func TestRootIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenRoot(dir)
	if err != nil || again != first {
		t.Errorf("another root credential: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", first, first, first); strings.Contains(text, first.SecretAccessKey) {
		t.Error("the secret is printed")
	}
}

func FuzzLookup(f *testing.F) {
	a, _ := newAuthority(f)
	c, err := a.MintSession(worker(), time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.AccessKeyID, c.SessionToken, []byte(`{"k":"ASIA"}`))
	f.Add("", "AAAA", []byte{deflated, 1, 2, 3})
	f.Fuzz(func(t *testing.T, id, token string, content []byte) {
		if _, who, err := a.Lookup(t.Context(), id, token); err == nil && (id != c.AccessKeyID || token != c.SessionToken) {
			t.Errorf("%v", who)
		}
		sealed := base64.StdEncoding.EncodeToString(a.Sealer.Seal(sealContext, bytes.Clone(content)))
		if _, who, err := a.Lookup(t.Context(), id, sealed); err == nil && who.AccessKeyID != id {
			t.Errorf("%v for %s", who, id)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	a, _ := newAuthority(b)
	c, err := a.MintSession(worker(), time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := a.Lookup(b.Context(), c.AccessKeyID, c.SessionToken); err != nil {
			b.Fatal(err)
		}
	}
}
