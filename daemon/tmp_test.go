package daemon

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

const fillTmp = `
import os
def handler(event, context):
    block, written, said = bytes(1 << 20), 0, None
    with open("/tmp/" + event["file"], "wb", buffering=0) as f:
        for _ in range(event["megabytes"]):
            try:
                written += f.write(block)
            except OSError as e:
                said = os.strerror(e.errno)
                break
    left = sorted(os.listdir("/tmp"))
    if event["remove"]: os.unlink("/tmp/" + event["file"])
    return {"megabytes": written >> 20, "said": said, "left": left}
`

// TestTmp: /tmp has the function's ephemeral storage, is full beyond it, costs no memory, and lasts from one event to
// the next.
func TestTmp(t *testing.T) {
	h := start(t, func(c *Config) { c.DiskBandwidth = -1 })
	large := func(in *lambda.CreateFunctionInput) { in.Timeout, in.MemorySize = aws.Int32(60), aws.Int32(1769) }
	h.createPython("f", fillTmp, large)
	h.createPython("more", fillTmp, large, func(in *lambda.CreateFunctionInput) {
		in.EphemeralStorage = &types.EphemeralStorage{Size: aws.Int32(1024)}
	})
	type answer struct {
		Megabytes int
		Said      *string
		Left      []string
	}
	used := regexp.MustCompile(`Max Memory Used: (\d+) MB`)
	fill := func(name, event string) answer {
		t.Helper()
		out := h.invoke(name, event)
		if out.FunctionError != nil {
			t.Fatalf("%s: %s", *out.FunctionError, out.Payload)
		}
		var a answer
		if err := json.Unmarshal(out.Payload, &a); err != nil {
			t.Fatalf("%v: %s", err, out.Payload)
		}
		tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
		if err != nil {
			t.Fatal(err)
		}
		if report := used.FindSubmatch(tail); report == nil {
			t.Errorf("no memory figure in %s", tail)
		} else if mb, err := strconv.Atoi(string(report[1])); err != nil || mb > 80 {
			t.Errorf("%s MB of memory are used: /tmp counts", report[1])
		}
		return a
	}
	for name, size := range map[string]int{"f": 512, "more": 1024} {
		// What goes well on Lambda goes well here: the whole size can be written.
		a := fill(name, `{"file": "x", "megabytes": 2048, "remove": false}`)
		if a.Said == nil || *a.Said != "No space left on device" || a.Megabytes < size || a.Megabytes > size+size/50+4 {
			t.Errorf("%s: %+v, want some %d megabytes and no space left", name, a, size)
		}
		a = fill(name, `{"file": "y", "megabytes": 4, "remove": true}`)
		if a.Said == nil || a.Megabytes > 4 || len(a.Left) != 2 {
			t.Errorf("%s, the next event: %+v, want both files and no space", name, a)
		}
	}
}
