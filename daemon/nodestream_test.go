package daemon

import (
	"strconv"
	"strings"
	"testing"
)

// TestNodeStreamsAtOnce: what awslambda.streamifyResponse's handler writes reaches a caller of AWS's SDK while the handler
// is still at work, the prelude of an HttpResponseStream too.
func TestNodeStreamsAtOnce(t *testing.T) {
	h := start(t)
	if h.node == "" {
		t.Skip("no Node.js that Lambda knows is installed")
	}
	h.create("f", h.node, "index.handler", map[string]string{"index.mjs": `
import { setTimeout as pause } from 'node:timers/promises';
export const handler = awslambda.streamifyResponse(async (event, stream) => {
  if (event === 'http') stream = awslambda.HttpResponseStream.from(stream, { statusCode: 200 });
  stream.write('first ');
  await pause(700);
  stream.end(String(Date.now()));
});
`})
	for _, event := range []string{"plain", "http"} {
		s, err := h.stream("f", strconv.Quote(event))
		if err != nil {
			t.Fatal(err)
		}
		before, second, _ := strings.Cut(s.body.String(), "first ")
		wrote, err := strconv.ParseInt(second, 10, 64)
		if err != nil || (before != "") != (event == "http") || s.complete.ErrorCode != nil {
			t.Fatalf("%s: %q, %+v, %v", event, s.body.String(), s.complete, err)
		}
		if first := s.first.UnixMilli(); first >= wrote {
			t.Errorf("%s: the first bytes came %d ms after the last were written", event, first-wrote)
		}
	}
}
