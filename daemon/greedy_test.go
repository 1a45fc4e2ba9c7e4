package daemon

import (
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// TestGreedyForNames: a function that takes all it can of its loopback gets its share and no more, another does not
// notice, and afterwards it works again itself.
func TestGreedyForNames(t *testing.T) {
	h := start(t)
	if h.python == "" {
		t.Skip("no Python that Lambda knows is installed")
	}
	files := map[string]string{"greedy.py": source(t, "greedy.py"), "handler.py": source(t, "handler.py")}
	large := func(in *lambda.CreateFunctionInput) { in.MemorySize, in.Timeout = aws.Int32(1769), aws.Int32(60) }
	h.create("f", h.python, "greedy.handler", files, large)
	h.create("neighbour", h.python, "greedy.handler", files, large)
	const fine = `[["127.0.0.1"], 200]`
	if got := h.ok("neighbour", "{}"); got != fine {
		t.Fatalf("before: %s", got)
	}
	taken := make(chan string)
	go func() {
		out, err := h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte(`{"greedy": true}`)})
		if err != nil {
			taken <- err.Error()
			return
		}
		taken <- string(out.Payload)
	}()
	during := 0
	var got string
	for got == "" {
		select {
		case got = <-taken:
		default:
			if said := h.ok("neighbour", "{}"); said != fine {
				t.Errorf("the neighbour: %s", said)
			}
			during++
		}
	}
	// 900 of the parent's, which its child holds too until it closes them, and what is left for the child.
	if n, err := strconv.Atoi(got); err != nil || n > insideConnections || n < 900 {
		t.Errorf("%s connections of 1,800, want at most %d", got, insideConnections)
	}
	if said := h.ok("f", "{}"); said != fine || during == 0 {
		t.Errorf("afterwards: %s, and the neighbour was asked %d times", said, during)
	}
}
