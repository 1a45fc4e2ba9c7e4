package environment

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"hotaru/function"
	"hotaru/runtimeapi"
	"hotaru/runtimeapi/extensions"
	"hotaru/runtimeapi/telemetry"
	"hotaru/sandbox"
)

// generation is what an environment has beside its runtime, from one Init to the reset or the end that follows it: the
// APIs that code finds inside, the extensions, and those who want to hear what happens.
type generation struct {
	host     *runtimeapi.Host
	registry *extensions.Registry
	hub      *telemetry.Hub

	mu        sync.Mutex                 // guards processes
	processes map[string]sandbox.Process // of external extensions, by name
	watching  sync.WaitGroup             // the goroutines that wait for their ends
}

// beginGeneration starts serving the APIs inside.
func (e *Environment) beginGeneration() error {
	listener, err := lend(e.sandbox.Listener(RuntimeAPIAddress))
	if err != nil {
		return err
	}
	v := e.cfg.Version
	g := &generation{
		registry: extensions.New(extensions.Function{
			Name: v.ID.Name, Version: v.Version, Handler: v.Handler, AccountID: v.ID.Account,
		}),
		hub: telemetry.NewHub(telemetry.Config{
			Dial: e.sandbox.Dial, JSON: v.Logging.Format == function.JSONLogs, Subscribed: e.subscribed,
		}),
		processes: map[string]sandbox.Process{},
	}
	g.host = runtimeapi.NewHost(listener, g)
	e.out.setHub(g.hub)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.generation = g
	return nil
}

// endGeneration ends what beginGeneration began. Its processes have ended, or end without it.
func (e *Environment) endGeneration() {
	e.mu.Lock()
	g := e.generation
	e.generation = nil
	e.mu.Unlock()
	if g == nil {
		return
	}
	g.registry.Close()
	g.watching.Wait()
	e.out.setHub(nil)
	g.hub.Close()
	g.host.Close()
}

// present is the generation that there is; nil when cold, and once a reset or Close has come in between.
func (e *Environment) present() *generation {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.generation
}

// ServeHTTP answers the APIs beside the Runtime API.
func (g *generation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	switch logs := path == "/2020-08-15/logs"; {
	case strings.HasPrefix(path, extensions.Prefix):
		g.registry.ServeHTTP(w, r)
	case r.Method == http.MethodPut && (logs || path == "/2022-07-01/telemetry"):
		if name, ok := g.registry.Identify(w, r); ok {
			g.hub.Serve(w, r, name, logs)
		}
	default:
		http.NotFound(w, r)
	}
}

// process is an external extension's; nil if it was not started.
func (g *generation) process(name string) sandbox.Process {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.processes[name]
}

// subscribed tells that an extension hears what happens from now on.
func (e *Environment) subscribed(s telemetry.Subscription) {
	kind := "TELEMETRY"
	if s.Logs {
		kind = "LOGS"
	}
	types := make([]string, len(s.Types))
	for i, t := range s.Types {
		types[i] = strings.ToUpper(t[:1]) + t[1:]
	}
	e.out.takePrinted()
	e.sayNow(fmt.Appendf(nil, "%s\tName: %s\tState: %s\tTypes: [%s]\n", kind, s.Name, s.State, strings.Join(types, ", ")), s)
}
