package protocol

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/awsapi"
)

// reason is as generated types are: pointers for scalars and structures, values in lists.
type reason struct {
	Code  *string
	Count *int32
	At    *time.Time
	Blob  []byte
}

// failing has an error with members of all kinds, whose parts have names of their own in XML.
func failing(protocol awsapi.Protocol) *awsapi.Service {
	return &awsapi.Service{Name: "failing", Protocols: []awsapi.Protocol{protocol}, JSONVersion: "1.1", Shapes: []awsapi.Shape{{},
		{Name: "Cancelled", Error: &awsapi.ErrorTrait{Status: 409}, Members: []awsapi.Member{{Name: "message", Shape: 2}, {Name: "Reasons", Shape: 3, WireName: "Why"},
			{Name: "Keys", Shape: 5}, {Name: "Flat", Shape: 6, Flattened: true}, {Name: "Tags", Shape: 7}, {Name: "Retry", Shape: 8}, {Name: "Absent", Shape: 2}}},
		{Name: "Text", Kind: awsapi.KindString},
		{Name: "Reasons", Kind: awsapi.KindList, Element: &awsapi.Member{Shape: 4, WireName: "Reason"}},
		{Name: "Reason", Members: []awsapi.Member{{Name: "Code", Shape: 2, WireName: "C"}, {Name: "Count", Shape: 9}, {Name: "At", Shape: 10}, {Name: "Blob", Shape: 11}}},
		{Name: "Keys", Kind: awsapi.KindList, Element: &awsapi.Member{Shape: 2}},
		{Name: "Flat", Kind: awsapi.KindList, Element: &awsapi.Member{Shape: 2, WireName: "Item"}},
		{Name: "Tags", Kind: awsapi.KindMap, Key: &awsapi.Member{Shape: 2, WireName: "Name"}, Value: &awsapi.Member{Shape: 2}},
		{Name: "Retry", Kind: awsapi.KindBoolean}, {Name: "Count", Kind: awsapi.KindInteger}, {Name: "At", Kind: awsapi.KindTimestamp}, {Name: "Blob", Kind: awsapi.KindBlob},
	}}
}

func TestMembersOfErrors(t *testing.T) {
	at := time.UnixMilli(1500).UTC()
	failure := &awsapi.Error{Code: "Cancelled", Message: "no", Fields: map[string]any{
		"Reasons": []reason{{Code: new("A<"), Count: new(int32(2))}, {At: &at, Blob: []byte{0xff}}}, "Keys": []string{"k"}, "Flat": []any{"x", "y"},
		"Tags": map[string]string{"b": "2", "a": "1"}, "Retry": true, "Absent": nil,
	}}
	const inXML = "<Code>Cancelled</Code><Message>no</Message><Why><Reason><C>A&lt;</C><Count>2</Count></Reason><Reason><At>1970-01-01T00:00:01.500Z</At>" +
		"<Blob>/w==</Blob></Reason></Why><Keys><member>k</member></Keys><Flat>x</Flat><Flat>y</Flat><Tags><entry><Name>a</Name><value>1</value></entry>" +
		"<entry><Name>b</Name><value>2</value></entry></Tags><Retry>true</Retry>"
	const inJSON = `"message":"no","Why":[{"C":"A<","Count":2},{"At":1.5,"Blob":"/w=="}],"Keys":["k"],"Flat":["x","y"],"Tags":{"a":"1","b":"2"},"Retry":true}`
	for protocol, want := range map[awsapi.Protocol]string{
		awsapi.ProtocolQuery:    `<ErrorResponse><Error><Type>Sender</Type>` + inXML + `</Error><RequestId>id</RequestId></ErrorResponse>`,
		awsapi.ProtocolRestXML:  `<ErrorResponse><Error><Type>Sender</Type>` + inXML + `</Error><RequestId>id</RequestId></ErrorResponse>`,
		awsapi.ProtocolRestJSON: "{" + inJSON,
		awsapi.ProtocolJSON:     `{"__type":"Cancelled",` + inJSON,
		awsapi.ProtocolCBOR: "\xa7f__typex\x1fcom.amazonaws.failing#Cancelledgmessagebno" +
			"cWhy\x82\xa2aCbA<eCount\x02\xa2bAt\xc1\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00dBlobA\xff" +
			"dKeys\x81akdFlat\x82axaydTags\xa2aaa1aba2eRetry\xf5",
	} {
		service := failing(protocol)
		p, ok := For(service, protocol)
		if !ok {
			t.Fatal(protocol)
		}
		a := p.EncodeFailure(service, FailureOf(service, failure), "id")
		if d := cmp.Diff(want, string(a.Body)); d != "" || a.Status != 409 {
			t.Errorf("%s: %d (-want +got)\n%s", protocol, a.Status, d)
		}
	}
}
