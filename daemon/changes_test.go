package daemon

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// changing is a function that says in which state of its code and configuration it is, and in which environment.
func changing(code int) string {
	return fmt.Sprintf(`
import os, time, uuid
code, place = %d, uuid.uuid4().hex
def handler(event, context):
    if event:
        print("at work", flush=True)
    time.sleep(event)
    return {"Code": code, "Variable": int(os.environ["VARIABLE"]), "Place": place}
`, code)
}

// witness invokes a function that changes and checks what it says. One change comes after the other, code and
// configuration in turn, so their sum says which state an answer is from.
type witness struct {
	*harness
	begun, done atomic.Int64 // changes
	mu          sync.Mutex
	states      map[string]int // by environment
}

// ask invokes once and returns the state that answered.
func (w *witness) ask(event string) (state int, err error) {
	least := int(w.done.Load())
	out, err := w.lambda.Invoke(w.t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte(event)})
	if err != nil {
		return 0, err
	}
	most := int(w.begun.Load())
	var said struct {
		Code, Variable int
		Place          string
	}
	if err := json.Unmarshal(out.Payload, &said); err != nil || out.FunctionError != nil {
		return 0, fmt.Errorf("%s: %s", aws.ToString(out.FunctionError), out.Payload)
	}
	state = said.Code + said.Variable
	if state < least || state > most || said.Code != (state+1)/2 {
		return 0, fmt.Errorf("code %d with variable %d between changes %d and %d", said.Code, said.Variable, least, most)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, known := w.states[said.Place]; known && before != state {
		return 0, fmt.Errorf("one environment was in state %d and in %d", before, state)
	}
	w.states[said.Place] = state
	return state, nil
}

// TestChangesNeverMix changes code and configuration while events come: each is answered by one state as a whole, what
// comes after a change by nothing older, and an environment at work finishes its event and ends.
func TestChangesNeverMix(t *testing.T) {
	h := start(t)
	h.createPython("f", changing(0), func(in *lambda.CreateFunctionInput) {
		in.Environment = variables(map[string]string{"VARIABLE": "0"})
	})
	w := &witness{harness: h, states: map[string]int{}}
	late := make(chan error, 1)
	go func() {
		state, err := w.ask("3")
		if err == nil && state != 0 {
			err = fmt.Errorf("the event that was at work was answered in state %d", state)
		}
		late <- err
	}()
	h.waitLogged("/aws/lambda/f", `"at work"`)

	var callers sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := w.ask("0"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	const changes = 6
	for n := 1; n <= changes; n++ {
		w.begun.Store(int64(n))
		var err error
		if n%2 == 1 {
			_, err = h.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{
				FunctionName: aws.String("f"), ZipFile: h.zip("handler.py", changing((n+1)/2))})
		} else {
			_, err = h.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
				FunctionName: aws.String("f"), Environment: variables(map[string]string{"VARIABLE": strconv.Itoa(n / 2)})})
		}
		if err != nil {
			t.Fatal(err)
		}
		h.waitUpdated("f")
		w.done.Store(int64(n))
		if state, err := w.ask("0"); err != nil || state != n {
			t.Errorf("after change %d: state %d, %v", n, state, err)
		}
	}
	close(stop)
	callers.Wait()
	if err := <-late; err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(5 * time.Millisecond) {
		generations := map[int]bool{}
		for v := range h.pool.Versions() {
			generations[v.Generation] = true
		}
		if len(generations) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("environments of %d generations are left", len(generations))
		}
	}
}

// waitLogged waits until a log group has a message that matches a filter pattern.
func (h *harness) waitLogged(group, pattern string) {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		out, err := h.cloudwatch().FilterLogEvents(h.t.Context(), &cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: &group, FilterPattern: &pattern})
		if err == nil && len(out.Events) > 0 { // the group comes with the first event
			return
		}
		if err != nil && !strings.Contains(err.Error(), "ResourceNotFoundException") {
			h.t.Fatal(err)
		}
	}
	h.t.Fatalf("nothing of %s in %s", pattern, group)
}
