package environment

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"hotaru/environment/environmenttest"
	"hotaru/function"
	"hotaru/runtime"
	"hotaru/sandbox"
)

// TestServe: what serves inside is asked once, and the variables it answers are the program's, unless the function has
// others.
func TestServe(t *testing.T) {
	var got []string
	driver := &environmenttest.Driver{Run: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		got = p.Env
		return environmenttest.Echo(ctx, p)
	}}
	var served []sandbox.Sandbox
	blank, err := NewBlank(t.Context(), BlankConfig{
		ID: "env-1", Driver: driver, MemoryMB: 128, EphemeralStorageMB: 512, Listen: []string{"127.0.0.1:80"}, ListenPacket: []string{"127.0.0.1:53"},
		Serve: func(sb sandbox.Sandbox) []string {
			served = append(served, sb)
			return []string{"PLACE=inside", "OWN=ours"}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	v := &function.Version{Version: function.Latest, MemoryMB: 128, TimeoutSeconds: 3, EphemeralStorageMB: 512}
	program := runtime.Program{Path: "/bin/runtime", Description: "test:1", VersionID: "v", Env: []string{"OWN=program's"}}
	env, err := blank.Assign(t.Context(), Config{Version: v, Program: program, Env: []string{"OWN=function's"},
		Log: &environmenttest.Log{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	invoke(t, env, "r1")
	if err := env.Close(context.Background()); err != nil {
		t.Error(err)
	}
	sandboxes := driver.Sandboxes()
	if len(served) != 1 || served[0] != sandbox.Sandbox(sandboxes[0]) {
		t.Errorf("served %v", served)
	}
	spec := sandboxes[0].Spec()
	if !slices.Equal(spec.Listen, []string{RuntimeAPIAddress, "127.0.0.1:80"}) || !slices.Equal(spec.ListenPacket, []string{"127.0.0.1:53"}) {
		t.Errorf("listens on %v and %v", spec.Listen, spec.ListenPacket)
	}
	for _, want := range []string{"PLACE=inside", "OWN=function's", "AWS_LAMBDA_RUNTIME_API=" + sandboxes[0].Listener("").Addr().String()} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	}
	if slices.Contains(got, "OWN=ours") {
		t.Errorf("a name twice: %q", got)
	}
}
