package control

import (
	"context"
	"errors"
	"testing"
	"time"

	"hotaru/function"
	"hotaru/store/pebble"
	"hotaru/store/seal"
)

// openFunctions opens an empty store with a function in it.
func openFunctions(t *testing.T, id function.ID) *Functions {
	t.Helper()
	dir := t.TempDir()
	state, err := pebble.Open(t.Context(), pebble.Options{Dir: dir + "/state"})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenFunctions(t.Context(), state, sealer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	})
	v := &function.Version{ID: id, UID: "u", Version: function.Latest, Generation: 1, LastModified: time.Now()}
	h := &head{ID: id, UID: "u", Latest: 1, Serving: 1, Status: function.Creating().Ready()}
	if err := f.create(t.Context(), h, v); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestChangesOutliveTheirCaller: a change counts in memory as it does in the store, even if its caller has gone away.
func TestChangesOutliveTheirCaller(t *testing.T) {
	id := function.ID{Partition: "aws", Region: "us-east-1", Account: "000000000000", Name: "f"}
	l := &Lambda{Functions: openFunctions(t, id)}
	gone, leave := context.WithCancel(t.Context())
	leave()
	executions := 7
	if err := l.reserve(gone, id, &executions); err != nil {
		t.Fatal(err)
	}
	if own, ok, all := l.Functions.Reserved(id); own != 7 || !ok || all != 7 {
		t.Errorf("reserved: %d, %v, %d", own, ok, all)
	}
	allow := func(p resourcePolicy) (resourcePolicy, error) {
		return p.with(statement{Sid: "s", Effect: "Allow", Principal: "*", Action: "lambda:InvokeFunction", Resource: id.ARN()})
	}
	if err := l.changePolicy(gone, target{id: id}, allow); err != nil {
		t.Fatal(err)
	}
	if l.Functions.ResourcePolicy(id.ARN()) == nil {
		t.Error("no policy")
	}
	for _, arn := range []string{id.ARN() + ":1", id.ARN() + "x", "", "arn:aws:lambda", "arn:aws:s3:::f", "arn:aws:lambda:us-east-1:000000000000:layer:f"} {
		if l.Functions.ResourcePolicy(arn) != nil {
			t.Errorf("%q has the policy", arn)
		}
	}
	if err := l.Functions.remove(gone, id); err != nil {
		t.Fatal(err)
	}
	if _, ok, all := l.Functions.Reserved(id); ok || all != 0 || l.Functions.ResourcePolicy(id.ARN()) != nil {
		t.Error("a deleted function has a reservation or a policy")
	}
	if err := l.reserve(gone, id, nil); !isNotFound(err) {
		t.Errorf("a deleted function: %v", err)
	}
}

func isNotFound(err error) bool {
	refusal := (*function.Error)(nil)
	return errors.As(err, &refusal) && refusal.Code == function.ErrResourceNotFound
}
