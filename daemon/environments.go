package daemon

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"hotaru/awsapi"
	"hotaru/code"
	"hotaru/code/tree"
	"hotaru/credential"
	"hotaru/environment"
	"hotaru/function"
	"hotaru/policy"
	"hotaru/pool"
	"hotaru/runtime"
	"hotaru/sandbox"
	"hotaru/services/logs/logstore"
)

// sessionLifetime is how long an environment's credentials are good for; the pool retires environments earlier.
const sessionLifetime = 24 * time.Hour

// maker makes execution environments out of what the other rooms have.
type maker struct {
	drivers *drivers
	// tags are a function's.
	tags      func(function.ID) (map[string]string, bool)
	runtimes  *runtime.Catalog
	packages  *code.Store
	authority *credential.Authority
	// role finds an IAM role.
	role     func(scope awsapi.Scope, name string) (policy.Identity, bool)
	logs     *logstore.Store
	loopback *loopback
	stock    *pool.Stock
	// templates is nil where environments are never copies.
	templates *pool.Templates
	// diskBandwidth and netBandwidth are every environment's, in bytes per second.
	diskBandwidth, netBandwidth int64
	// egress is the most that a function can choose.
	egress sandbox.Egress
	logger *slog.Logger
}

// environment makes one for a version: out of a blank that is ready, or from scratch.
func (m *maker) environment(ctx context.Context, v *function.Version) (*environment.Environment, error) {
	installed, err := m.runtimes.Resolve(ctx, v.Runtime)
	if err != nil {
		return nil, fmt.Errorf("daemon: runtime of %s: %w", v.ARN(), err)
	}
	at, err := m.code(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("daemon: code of %s: %w", v.ARN(), err)
	}
	kind, err := m.kindOf(v)
	if err != nil {
		return nil, err
	}
	driver := m.drivers.open[kind.Driver]
	config, err := m.config(v, installed, at, !enforces(driver, sandbox.BoundaryFiles))
	if err != nil {
		return nil, err
	}
	code := at.binds()
	if enforces(driver, sandbox.AbilityAttach) && anyBlankServes(v) {
		if blank := m.stock.Take(kind); blank != nil {
			if c, ok := m.copying(blank, v, config.Program, kind.Driver); ok {
				m.templates.Want(c.key, c.start) // the next may find none ready
			}
			config.Binds = code
			return blank.Assign(ctx, config)
		}
	}
	blank, err := environment.NewBlank(ctx, m.blankConfig(kind, config.Program, code))
	if err != nil {
		return nil, err
	}
	if c, ok := m.copying(blank, v, config.Program, kind.Driver); ok {
		if template := m.templates.Await(ctx, c.key, c.start); template != nil {
			if err := blank.Copy(ctx, template); err != nil && ctx.Err() == nil {
				m.logger.Warn("an environment could not be made as a copy, and is started instead", "function", v.ARN(), "error", err)
				m.templates.Refuse(c.key, template)
			}
		}
	}
	return blank.Assign(ctx, config)
}

// copying is which template's copies can be the runtime process of a blank, which is faster than to start one, and how to
// start it.
type copying struct {
	key   pool.TemplateKey
	start func(context.Context) (sandbox.Template, error)
}

// copying is that of a version's blank, if it has one. Tenants share no template, as they share nothing else.
func (m *maker) copying(blank *environment.Blank, v *function.Version, p runtime.Program, driver string) (c copying, ok bool) {
	if m.templates == nil || !p.Copies || v.Tenancy != "" || !anyBlankServes(v) {
		return c, false
	}
	spec := blank.Template()
	c.key = pool.TemplateKey{
		Owner: v.ID.Partition + ":" + v.ID.Account, Driver: driver,
		Program: strings.Join(slices.Concat([]string{spec.Root.Dir, spec.Path}, spec.Args, spec.Env), "\x00"),
	}
	c.start = func(ctx context.Context) (sandbox.Template, error) {
		return sandbox.NewTemplate(ctx, m.drivers.open[driver], spec)
	}
	return c, true
}

// unpacked is where a version's code is on this machine, and its layers, merged; layers is empty if it has none. Both are
// directories, or both images.
type unpacked struct {
	task, layers string
	images       bool
}

func (m *maker) code(ctx context.Context, v *function.Version) (at unpacked, err error) {
	at.images = m.packages.Images
	if at.task, err = m.packages.Root(ctx, v.Code.Digest); err == nil && len(v.Layers) > 0 {
		at.layers, err = m.packages.Merged(ctx, v.LayerDigests())
	}
	return at, err
}

func (at unpacked) binds() []sandbox.Bind {
	binds := []sandbox.Bind{{Source: at.task, Target: runtime.TaskRoot, Image: at.images}}
	if at.layers != "" {
		binds = append(binds, sandbox.Bind{Source: at.layers, Target: runtime.LayerRoot, Image: at.images})
	}
	return binds
}

// entrypoint is where inside a custom runtime's bootstrap is.
func (at unpacked) entrypoint() (string, error) {
	task, opened, err := tree.Open(at.task)
	if err != nil {
		return "", fmt.Errorf("daemon: %w", err)
	}
	defer opened.Close()
	if at.layers == "" {
		return runtime.Entrypoint(task)
	}
	layers, opened, err := tree.Open(at.layers)
	if err != nil {
		return "", fmt.Errorf("daemon: %w", err)
	}
	defer opened.Close()
	return runtime.Entrypoint(task, layers)
}

// config is what makes a blank a version's environment. hostFiles says that programs run on the host's own files.
func (m *maker) config(v *function.Version, installed *runtime.Runtime, at unpacked, hostFiles bool) (environment.Config, error) {
	stream := logStream(v, uuid.New(), time.Now())
	variables, err := m.variables(v, stream)
	if err != nil {
		return environment.Config{}, err
	}
	sink, err := m.logs.Stream(awsapi.Scope{Partition: v.ID.Partition, Account: v.ID.Account, Region: v.ID.Region},
		v.Logging.Group, stream)
	if err != nil {
		return environment.Config{}, fmt.Errorf("daemon: log of %s: %w", v.ARN(), err)
	}
	program, broken := m.program(v, installed, at, hostFiles)
	return environment.Config{
		Version: v, Program: program, Broken: broken, Wrapped: v.Environment[wrapperVariable] != "", Env: variables,
		Log: logSink{sink}, Logger: m.logger,
	}, nil
}

// blankConfig says what a blank is made of.
func (m *maker) blankConfig(kind pool.Kind, program runtime.Program, code []sandbox.Bind) environment.BlankConfig {
	driver := m.drivers.open[kind.Driver]
	streams, packets := m.loopback.listen(driver)
	return environment.BlankConfig{
		ID: newSandboxID(), Driver: driver, Program: program, Binds: code, MemoryMB: kind.MemoryMB,
		EphemeralStorageMB: kind.EphemeralStorageMB, DiskBandwidth: m.diskBandwidth, Egress: kind.Egress,
		NetBandwidth: m.netBandwidth, Listen: streams, ListenPacket: packets,
		Serve: func(sb sandbox.Sandbox) []string { return m.loopback.serve(sb, kind.Egress) },
	}
}

func newSandboxID() string {
	id := uuid.New()
	return "env-" + hex.EncodeToString(id[:])
}

// wrapperVariable names a script that starts the runtime
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper).
const wrapperVariable = "AWS_LAMBDA_EXEC_WRAPPER"

// kindOf says which blanks can serve a version.
func (m *maker) kindOf(v *function.Version) (pool.Kind, error) {
	tags, _ := m.tags(v.ID) // one that has just been deleted has none any more
	driver, err := m.drivers.choose(v.ID, tags)
	if err != nil {
		return pool.Kind{}, fmt.Errorf("daemon: sandbox of %s: %w", v.ARN(), err)
	}
	return pool.Kind{
		Driver: driver, Runtime: v.Runtime, MemoryMB: v.MemoryMB, EphemeralStorageMB: v.EphemeralStorageMB,
		Egress: m.egressOf(tags),
	}, nil
}

// anyBlankServes says whether a version can be served by an interpreter that was started before the version was
// known: not if it sets what an interpreter reads at its start alone.
func anyBlankServes(v *function.Version) bool {
	for name := range v.Environment {
		if runtime.ReadAtStart(name) {
			return false
		}
	}
	return true
}

// blank makes one to keep ready: a zygote where the runtime can start without its function.
func (m *maker) blank(ctx context.Context, kind pool.Kind) (*environment.Blank, error) {
	installed, err := m.runtimes.Resolve(ctx, kind.Runtime)
	if err != nil {
		return nil, fmt.Errorf("daemon: runtime %s: %w", kind.Runtime, err)
	}
	program := installed.Program(runtime.Options{MemoryMB: kind.MemoryMB})
	blank, err := environment.NewBlank(ctx, m.blankConfig(kind, program, nil))
	if err != nil || !program.Frames {
		return blank, err
	}
	if err := blank.Warm(ctx); err != nil {
		return nil, errors.Join(err, blank.Close(context.WithoutCancel(ctx)))
	}
	return blank, nil
}

// program is what to start for a version; broken says why the function's own entry point cannot be.
func (m *maker) program(v *function.Version, installed *runtime.Runtime, at unpacked, hostFiles bool) (p runtime.Program, broken error) {
	options := runtime.Options{MemoryMB: v.MemoryMB}
	if hostFiles {
		options.TaskRoot, options.LayerRoot = at.task, at.layers
	}
	p = installed.Program(options)
	if installed.Language == runtime.Provided && !hostFiles {
		path, err := at.entrypoint()
		if err != nil {
			return p, err
		}
		p.Path, p.Args = path, []string{path}
	}
	if wrapper := v.Environment[wrapperVariable]; wrapper != "" {
		p = p.Wrap(wrapper)
	}
	return p, nil
}

// logSink is an environment's log stream in the log store.
type logSink struct{ *logstore.Stream }

// Append implements environment.Log.
func (s logSink) Append(at time.Time, record []byte) {
	s.Stream.Append(logstore.Event{Time: at, Message: record})
}

// logStream names a stream as Lambda does: "2024/04/08/[$LATEST]" and 32 digits.
func logStream(v *function.Version, id uuid.UUID, now time.Time) string {
	return now.UTC().Format("2006/01/02/") + "[" + v.Version + "]" + hex.EncodeToString(id[:])
}

// variables are those that Lambda defines for every function, and the function's own
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime).
func (m *maker) variables(v *function.Version, stream string) ([]string, error) {
	who, err := m.roleSession(v)
	if err != nil {
		return nil, err
	}
	c, err := m.authority.Mint(who, sessionLifetime)
	if err != nil {
		return nil, err
	}
	env := []string{
		"_HANDLER=" + v.Handler,
		"AWS_REGION=" + v.ID.Region,
		"AWS_DEFAULT_REGION=" + v.ID.Region,
		"AWS_LAMBDA_FUNCTION_NAME=" + v.ID.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=" + v.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(v.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=" + v.Logging.Group,
		"AWS_LAMBDA_LOG_STREAM_NAME=" + stream,
		// Nobody listens there unless an extension does; SDKs for X-Ray send their segments without an answer.
		"AWS_XRAY_DAEMON_ADDRESS=127.0.0.1:2000",
		"AWS_XRAY_CONTEXT_MISSING=LOG_ERROR",
		"AWS_ACCESS_KEY_ID=" + c.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + c.SecretAccessKey,
		"AWS_SESSION_TOKEN=" + c.SessionToken,
	}
	if v.Logging.Format == function.JSONLogs {
		env = append(env, "AWS_LAMBDA_LOG_FORMAT="+v.Logging.Format, "AWS_LAMBDA_LOG_LEVEL="+v.Logging.ApplicationLevel)
	}
	for name, value := range v.Environment {
		env = append(env, name+"="+value)
	}
	return env, nil
}

// roleSession is who a function's code is: its execution role, in a session named after the function.
// A role that is gone has no session: nothing is allowed then.
func (m *maker) roleSession(v *function.Version) (awsapi.Identity, error) {
	role, err := function.ParseRoleARN(v.Role)
	if err != nil {
		return awsapi.Identity{}, err
	}
	found, _ := m.role(awsapi.Scope{Partition: role.Partition, Account: role.Account}, role.Name)
	return awsapi.Identity{
		Account: role.Account,
		ARN:     "arn:" + role.Partition + ":sts::" + role.Account + ":assumed-role/" + role.Name + "/" + v.ID.Name,
		UserID:  found.ID + ":" + v.ID.Name,
	}, nil
}
