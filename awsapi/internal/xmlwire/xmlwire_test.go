package xmlwire

import (
	"encoding/xml"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
)

type item struct {
	Name  *string
	Count *int32
	List  []string
	Flat  []item
	Map   map[string]string
	Attr  *string
}

func itemField(t testing.TB) *plan.Field {
	t.Helper()
	service := &awsapi.Service{Shapes: []awsapi.Shape{{},
		{Name: "Item", Members: []awsapi.Member{{Name: "Name", Shape: 2}, {Name: "Count", Shape: 3}, {Name: "List", Shape: 4},
			{Name: "Flat", Shape: 5, Flattened: true}, {Name: "Map", Shape: 6}, {Name: "Attr", Shape: 2, WireName: "xsi:attr", XMLAttribute: true}}},
		{Name: "String", Kind: awsapi.KindString}, {Name: "Integer", Kind: awsapi.KindInteger},
		{Name: "List", Kind: awsapi.KindList, Element: &awsapi.Member{Shape: 2}},
		{Name: "Items", Kind: awsapi.KindList, Element: &awsapi.Member{Shape: 1}},
		{Name: "Map", Kind: awsapi.KindMap, Key: &awsapi.Member{Shape: 2}, Value: &awsapi.Member{Shape: 2}},
	}}
	p, err := plan.NewSet(service).Compile(1, reflect.TypeFor[item]())
	if err != nil {
		t.Fatal(err)
	}
	return &plan.Field{Member: &awsapi.Member{}, Plan: p}
}

func TestDecodeRefuses(t *testing.T) {
	f := itemField(t)
	for name, text := range map[string]string{
		"nothing": "", "no element": "text", "unfinished": "<a><Name>x", "crossed": "<a><Name></a></Name>", "two roots": "<a/><b/>",
		"no number": "<a><Count>x</Count></a>", "an entity": `<!DOCTYPE a [<!ENTITY e "x">]><a><Name>&e;</Name></a>`,
		"no key": "<a><Map><entry><value>v</value></entry></Map></a>", "too deep": strings.Repeat("<Flat>", 100000),
	} {
		if err := Decode([]byte(text), f, reflect.New(f.Plan.Type).Elem()); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestDecode(t *testing.T) {
	f := itemField(t)
	var got item
	err := Decode([]byte(`<?xml version="1.0"?><x:root xmlns:x="urn:x" xmlns:xsi="urn:xsi" xsi:attr="a"><!-- c --><x:Name> a &lt;b&gt; <![CDATA[&]]></x:Name>
		<Count> 7 </Count><Other><Name>no</Name></Other><List><member>1</member><member/></List><Flat><Name>f1</Name></Flat><Flat/>
		<Map><entry><key>k</key><value>v</value></entry></Map></x:root>`), f, reflect.ValueOf(&got).Elem())
	if err != nil {
		t.Fatal(err)
	}
	want := item{Name: new(" a <b> &"), Count: new(int32(7)), List: []string{"1", ""}, Flat: []item{{Name: new("f1")}, {}},
		Map: map[string]string{"k": "v"}, Attr: new("a")}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func FuzzDecode(f *testing.F) {
	place := itemField(f)
	f.Add([]byte(`<a><Name>x</Name><Flat><List><member>1</member></List></Flat><Map><entry><key>k</key></entry></Map></a>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		first := reflect.New(place.Plan.Type).Elem()
		if Decode(data, place, first) != nil {
			return
		}
		encoded := AppendField(nil, place, "root", first)
		second := reflect.New(place.Plan.Type).Elem()
		if err := Decode(encoded, place, second); err != nil {
			t.Fatalf("%v in %s", err, encoded)
		}
		if d := cmp.Diff(first.Interface(), second.Interface()); d != "" {
			t.Errorf("%s\n%s", encoded, d)
		}
	})
}

func FuzzAppendText(f *testing.F) {
	f.Add("a<b>&\"\r\n\x00\xff\ufffe")
	f.Fuzz(func(t *testing.T, text string) {
		var back string
		if err := xml.Unmarshal(AppendElement(nil, "a", text), &back); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
