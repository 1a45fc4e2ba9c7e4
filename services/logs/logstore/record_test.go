package logstore

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzRecords(f *testing.F) {
	good := appendRecord(nil, record{kind: kindHeader, time: 1, text: groupKey{here, "g"}.encode()})
	good = appendRecord(good, record{kind: kindStream, stream: 1, seq: 1, time: 2, text: []byte("s")})
	good = appendRecord(good, record{kind: kindEvent, stream: 1, seq: 2, time: -3, ingested: 4, text: []byte("hello")})
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 3}, good...))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		covered := 0
		tail := walk(b, func(r record, size int) {
			covered += size
			again = appendRecord(again, r)
			_, _ = decodeGroupKey(r.text)
		}, func(offset, length int) {
			if offset != covered || length <= 0 {
				t.Fatalf("damage at %d of length %d after %d bytes", offset, length, covered)
			}
			covered += length
		})
		if covered+tail != len(b) {
			t.Fatalf("%d bytes of records and damage and %d of tail are not %d", covered, tail, len(b))
		}
		if left := walk(again, func(record, int) {}, func(int, int) { t.Fatal("damage in what was just encoded") }); left > 0 {
			t.Fatalf("%d bytes of what was just encoded are no records", left)
		}
		if x, ok := decodeIndex(b); ok {
			if y, ok := decodeIndex(x.encode()); !ok || y.size != x.size {
				t.Fatal("an index does not survive being encoded")
			}
		}
	})
}

func TestRecordRefusals(t *testing.T) {
	good := appendRecord(nil, record{kind: kindEvent, stream: 7, seq: 8, time: 9, ingested: 10, text: []byte("x")})
	unknown := appendRecord(nil, record{kind: 99})
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"nothing":      {nil, errTorn},
		"a beginning":  {good[:len(good)-1], errTorn},
		"zeros":        {make([]byte, 100), errBad},
		"huge":         {[]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 3}, errBad},
		"flipped":      {append(bytes.Clone(good[:len(good)-1]), 'y'), errBad},
		"unknown kind": {unknown, errBad},
	} {
		if _, _, err := decodeRecord(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	r, size, err := decodeRecord(append(bytes.Clone(good), "rest"...))
	if err != nil || size != len(good) || r.stream != 7 || r.seq != 8 || r.time != 9 || r.ingested != 10 || string(r.text) != "x" {
		t.Errorf("%+v, %d, %v", r, size, err)
	}
}

func TestIndexSurvivesItsCheckpoint(t *testing.T) {
	x := newIndex()
	var b []byte
	add := func(r record) {
		before := len(b)
		b = appendRecord(b, r)
		x.add(r, len(b)-before)
	}
	for i := range 3000 {
		if i < 3 {
			add(record{kind: kindStream, stream: uint32(i + 1), time: int64(i), text: []byte(fmt.Sprint(i))})
		}
		add(record{kind: kindEvent, stream: uint32(i%3 + 1), seq: uint64(i), time: int64(i * 10), ingested: 1, text: bytes.Repeat([]byte("x"), 100)})
		if i == 2000 {
			add(record{kind: kindDeleted, stream: 2, seq: 1})
			x.addDamage(17)
		}
	}
	y, ok := decodeIndex(x.encode())
	if !ok {
		t.Fatal("the checkpoint cannot be read")
	}
	if diff := cmp.Diff(x, y, cmp.AllowUnexported(index{}, block{}, streamStats{})); diff != "" {
		t.Errorf("index (-written +read):\n%s", diff)
	}
	if len(y.blocks) < 3 {
		t.Errorf("%d blocks; the test wants several", len(y.blocks))
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{20, 200, 2000} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{})
			st := stream(b, s, "g", "s")
			e := Event{Time: noon, Message: bytes.Repeat([]byte("x"), size)}
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				st.Append(e)
			}
			b.ReportMetric(float64(s.Dropped())/float64(b.N), "dropped/op")
		})
	}
}
