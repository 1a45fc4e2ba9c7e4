package eventstream

import (
	"bytes"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// TestAppendIsWhatTheSDKReads lets the SDK's decoder, which checks lengths and both checksums, read our messages.
func TestAppendIsWhatTheSDKReads(t *testing.T) {
	for _, payload := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("payload"), 10000)} {
		stream := Append(nil, []Header{{":event-type", "PayloadChunk"}, {":message-type", "event"}}, payload)
		stream = Append(stream, nil, []byte("second"))
		reader := bytes.NewReader(stream)
		first, err := sdk.NewDecoder().Decode(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Payload, payload) || first.Headers.Get(":event-type").String() != "PayloadChunk" || len(first.Headers) != 2 {
			t.Errorf("the SDK reads %v", first)
		}
		second, err := sdk.NewDecoder().Decode(reader, nil)
		if err != nil || string(second.Payload) != "second" || reader.Len() != 0 {
			t.Errorf("the SDK reads %v, %v", second, err)
		}
		stream[len(stream)-5]++
		if _, err := sdk.NewDecoder().Decode(bytes.NewReader(stream[len(stream)-len("second")-16:]), nil); err == nil {
			t.Error("a flipped bit goes unnoticed: the test reads nothing")
		}
	}
}
