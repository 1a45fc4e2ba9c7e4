package jsonwire

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/lambda"
)

func field(t testing.TB, operation string, typ reflect.Type) *plan.Field {
	t.Helper()
	op, ok := lambda.Service.Operation(operation)
	if !ok {
		t.Fatal("no operation " + operation)
	}
	p, err := plan.NewSet(lambda.Service).Compile(op.Input, typ)
	if err != nil {
		t.Fatal(err)
	}
	return &plan.Field{Member: &awsapi.Member{}, Plan: p}
}

var decoder = &Decoder{Timestamp: awsapi.TimestampEpoch}

func TestDecode(t *testing.T) {
	f := field(t, "CreateFunction", reflect.TypeFor[lambda.CreateFunctionRequest]())
	var got lambda.CreateFunctionRequest
	input := ` { "FunctionName" : "a\u00e4\ud83d\ude00\"\\\/\b\f\n\r\t" , "Unknown" : [ { "x" : [ 1 , -2.5e+3 , null , true ] } ] ,
		"Timeout" : 3.0 , "MemorySize" : 1e3 , "Publish" : false , "Description" : null , "Layers" : [ "a" , "b" ] ,
		"Tags" : { "k" : "v" } , "Code" : { "ZipFile" : "emlw" } , "functionname" : "another" } `
	if err := decoder.Decode([]byte(input), f, reflect.ValueOf(&got).Elem()); err != nil {
		t.Fatal(err)
	}
	want := lambda.CreateFunctionRequest{
		FunctionName: new("aä😀\"\\/\b\f\n\r\t"), Timeout: new(int32(3)), MemorySize: new(int32(1000)), Publish: new(false),
		Layers: []string{"a", "b"}, Tags: map[string]string{"k": "v"}, Code: &lambda.FunctionCode{ZipFile: []byte("zip")},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestValidAgreesWithTheLibrary(t *testing.T) {
	for _, text := range []string{
		"", " ", "{", "}", "[", "]", "{}", "[]", "[1,]", "[,1]", `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{a:1}`, "01", "-", "-0",
		"1.", ".5", "1e", "1e+", "1E5", "0x1", "NaN", "nul", "null ", "tru", "true", "false", `"`, `"\`, `"\x"`, `"\u12"`, `"\u12zz"`, `"\ud800"`,
		"\"\x01\"", `"a" "b"`, "[1 2]", `{"a":1 "b":2}`, "\ufeff{}", "1 ", "[[[]]]",
	} {
		if want, got := json.Valid([]byte(text)), Valid([]byte(text)) == nil; want != got {
			t.Errorf("%q: valid is %v, want %v", text, got, want)
		}
	}
}

func FuzzValid(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5e-3,"x\u00e4\n",null,true,{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		err := Valid(data)
		// The library takes invalid UTF-8 and deeper nesting than we do; nothing else may differ.
		if err == nil && !json.Valid(data) {
			t.Errorf("accepted %q", data)
		}
		if err != nil && json.Valid(data) && utf8.Valid(data) && err.(*SyntaxError).Reason != "nested too deeply" {
			t.Errorf("refused %q: %v", data, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"FunctionName":"f","EventSourceArn":"a","StartingPositionTimestamp":1.5,"Topics":["t"],"FilterCriteria":{"Filters":[{"Pattern":"{}"}]}}`))
	place := field(f, "CreateEventSourceMapping", reflect.TypeFor[lambda.CreateEventSourceMappingRequest]())
	f.Fuzz(func(t *testing.T, data []byte) {
		first := reflect.New(place.Plan.Type).Elem()
		if decoder.Decode(data, place, first) != nil {
			return
		}
		// What was decoded can be encoded, and decodes to the same.
		encoded := (&Encoder{Timestamp: awsapi.TimestampEpoch}).AppendStructure(nil, place.Plan, first)
		second := reflect.New(place.Plan.Type).Elem()
		if err := decoder.Decode(encoded, place, second); err != nil {
			t.Fatalf("%v in %s", err, encoded)
		}
		if d := cmp.Diff(first.Interface(), second.Interface()); d != "" {
			t.Errorf("%s\n%s", encoded, d)
		}
	})
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\n\x00\u2028\xff")
	f.Fuzz(func(t *testing.T, text string) {
		var back string
		if err := json.Unmarshal(AppendString(nil, text), &back); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(text) && back != text {
			t.Errorf("%q came back as %q", text, back)
		}
	})
}
