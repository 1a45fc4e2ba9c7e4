package store_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hotaru/store"
)

func TestKeyPartsRefusesWhatNewKeyDoesNotMake(t *testing.T) {
	for _, key := range []store.Key{"/", "a/", "/a", "a//b", "a.b", "a:b", "$a", "a=", "a=4", "=2e", "=41", "==", "é", "a b", "a\x00"} {
		if parts, err := key.Parts(); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Key(%q).Parts() = %q, %v; want ErrInvalid", key, parts, err)
		}
	}
}

func TestNewKeyKnownForms(t *testing.T) {
	for _, c := range []struct {
		parts []string
		want  store.Key
	}{
		{nil, ""},
		{[]string{""}, "="},
		{[]string{"aws", "123456789012", "us-east-1", "function", "my_fn"}, "aws/123456789012/us-east-1/function/my_fn"},
		{[]string{"$LATEST", "a/b", "x:y", "*", ">", ".", "é", "\x00", " ", "="}, "=24LATEST/a=2Fb/x=3Ay/=2A/=3E/=2E/=C3=A9/=00/=20/=3D"},
	} {
		if got := store.NewKey(c.parts...); got != c.want {
			t.Errorf("NewKey(%q) = %q, want %q", c.parts, got, c.want)
		}
	}
	if got := store.NewPrefix(); got != "" {
		t.Errorf("NewPrefix() = %q", got)
	}
}

func TestKeyProperties(t *testing.T) {
	safe := regexp.MustCompile(`^[A-Za-z0-9_=/-]*$`)
	part := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.StringMatching(`[ab/:$*>. =-]{0,4}`))
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(part, 1, 5).Draw(t, "a")
		b := rapid.SliceOfN(part, 1, 5).Draw(t, "b")
		key := store.NewKey(a...)
		if !safe.MatchString(string(key)) {
			t.Fatalf("%q has characters that engines refuse", key)
		}
		back, err := key.Parts()
		if err != nil || !cmp.Equal(a, back) {
			t.Fatalf("%q came back as %q, %v", a, back, err)
		}
		if same := cmp.Equal(a, b); same != (key == store.NewKey(b...)) {
			t.Fatalf("%q and %q: keys %q and %q", a, b, key, store.NewKey(b...))
		}
		continues := len(b) > len(a) && cmp.Equal(a, b[:len(a)])
		if got := strings.HasPrefix(string(store.NewKey(b...)), string(store.NewPrefix(a...))); got != continues {
			t.Fatalf("prefix of %q matches %q: %v, want %v", a, b, got, continues)
		}
	})
}

func FuzzKeyParts(f *testing.F) {
	f.Add("aws/1/us/=24LATEST")
	f.Add("==")
	f.Fuzz(func(t *testing.T, s string) {
		parts, err := store.Key(s).Parts()
		if err == nil && store.NewKey(parts...) != store.Key(s) {
			t.Fatalf("%q is accepted but not canonical: %q", s, store.NewKey(parts...))
		}
	})
}
