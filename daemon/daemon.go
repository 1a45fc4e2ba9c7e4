// Package daemon wires Hotaru's rooms together: a test starts a whole Hotaru from here. It must not hold any
// logic of its own beyond what is started, in which order, and what is stopped.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"hotaru/code"
	"hotaru/control"
	"hotaru/credential"
	"hotaru/gateway"
	"hotaru/invoke"
	"hotaru/metrics"
	"hotaru/pki"
	"hotaru/pool"
	"hotaru/runtime"
	"hotaru/sandbox"
	"hotaru/sandbox/namespace/image"
	"hotaru/services/iam"
	cloudwatch "hotaru/services/logs"
	"hotaru/services/logs/logstore"
	"hotaru/store"
	"hotaru/store/blob"
	"hotaru/store/pebble"
	"hotaru/store/seal"
)

// Daemon is a running Hotaru.
type Daemon struct {
	config Config
	logger *slog.Logger
	// cleanup undoes what has been started, the last first.
	cleanup []func(context.Context) error

	state     store.State
	sealer    *seal.Sealer
	packages  *code.Store
	drivers   drivers
	driver    sandbox.Driver // the usual one
	runtimes  *runtime.Catalog
	authority *credential.Authority
	logs      *logstore.Store
	functions *control.Functions
	layers    *control.Layers
	iam       *iam.Service
	logsAPI   *cloudwatch.Service
	lambda    *control.Lambda
	pool      *pool.Pool
	templates *pool.Templates // nil is none
	stock     *pool.Stock
	budget    *pool.Budget
	invoker   *invoke.Invoker
	metrics   *metrics.Metrics
	// metricsURL is where metrics are read; empty where they are not.
	metricsURL string
	front      *gateway.Gateway
	inside     *http.Server
	ca         *pki.CA
	loopback   *loopback
	// network is the way to the outside, nil where there is none for the reason noNetwork; egress is the same for
	// functions.
	network   sandbox.Network
	noNetwork string
	egress    sandbox.Egress
	endpoint  Endpoint

	failOnce sync.Once
	failed   chan struct{}
	err      error

	closeOnce sync.Once
	closeErr  error
	// serving are the goroutines that serve and watch.
	serving sync.WaitGroup
	stop    chan struct{}
}

// Start starts a Hotaru. It serves when Start returns; Close it. On an error nothing is left running.
func Start(ctx context.Context, config Config) (*Daemon, error) {
	d := &Daemon{
		config: config.withDefaults(), failed: make(chan struct{}), stop: make(chan struct{}),
	}
	d.logger = d.config.Logger
	d.makeMetrics()
	for _, step := range []func(context.Context) error{
		d.openData, d.openExecution, d.openControl, d.serve,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, d.undo(context.WithoutCancel(ctx)))
		}
	}
	d.logger.Info("serving", "url", d.endpoint.URL, "data", d.config.DataDir, "account", d.config.Account,
		"sandbox", d.driver.Name())
	return d, nil
}

// onClose notes what ends something that has been started.
func (d *Daemon) onClose(f func(context.Context) error) { d.cleanup = append(d.cleanup, f) }

func (d *Daemon) undo(ctx context.Context) error {
	var errs []error
	for i := len(d.cleanup) - 1; i >= 0; i-- {
		errs = append(errs, d.cleanup[i](ctx))
	}
	d.cleanup = nil
	return errors.Join(errs...)
}

// openData opens what lasts: the store's lock comes first, so that no second Hotaru touches anything.
func (d *Daemon) openData(ctx context.Context) (err error) {
	dir := d.config.DataDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("daemon: data directory: %w", err)
	}
	engine, err := pebble.Open(ctx, pebble.Options{Dir: filepath.Join(dir, "state"), Log: d.logger})
	if err != nil {
		return err
	}
	d.onClose(func(context.Context) error { return engine.Close() })
	d.state = engine
	if d.metrics != nil {
		d.state = d.metrics.State(d.state)
	}
	if d.sealer, err = seal.Open(dir); err != nil {
		return err
	}
	root, err := credential.OpenRoot(dir)
	if err != nil {
		return err
	}
	d.authority = &credential.Authority{
		Root: root, Partition: Partition, Account: d.config.Account, Sealer: d.sealer,
		Key: d.sealer.Derive("credential/session"),
	}
	d.endpoint.Credential = root
	blobs, err := blob.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		return err
	}
	if d.packages, err = code.Open(filepath.Join(dir, "code"), blobs); err != nil {
		return err
	}
	reserve, err := image.Reserve(dir, d.config.DiskReserve)
	if err != nil {
		return err
	}
	// Between the two marks of a /tmp: whoever fills those takes nobody's logs away, and whoever floods a log keeps nobody
	// from a new environment.
	d.logs, err = logstore.Open(filepath.Join(dir, "logs"), logstore.Options{Logger: d.logger, ReserveBytes: reserve / 4 * 3})
	if err != nil {
		return err
	}
	d.onClose(func(context.Context) error { return d.logs.Close() })
	return nil
}

// openControl opens what Lambda and IAM know.
func (d *Daemon) openControl(ctx context.Context) (err error) {
	if d.functions, err = control.OpenFunctions(ctx, d.state, d.sealer); err != nil {
		return err
	}
	d.onClose(func(context.Context) error { d.functions.Close(); return nil })
	if d.layers, err = control.OpenLayers(ctx, d.state); err != nil {
		return err
	}
	d.onClose(func(context.Context) error { d.layers.Close(); return nil })
	if d.iam, err = iam.Open(ctx, d.state, d.sealer); err != nil {
		return err
	}
	d.onClose(func(context.Context) error { d.iam.Close(); return nil })
	d.authority.Users = d.iam
	d.logsAPI, err = cloudwatch.Open(ctx, cloudwatch.Options{State: d.state, Logs: d.logs, Logger: d.logger, Stopping: d.stop})
	if err != nil {
		return err
	}
	d.onClose(func(context.Context) error { d.logsAPI.Close(); return nil })
	if err := d.sweepPackages(ctx); err != nil {
		return err
	}

	maker := &maker{
		drivers: &d.drivers, tags: d.functions.Tags, runtimes: d.runtimes, packages: d.packages, authority: d.authority, role: d.iam.Role, logs: d.logs,
		loopback: d.loopback, diskBandwidth: d.config.DiskBandwidth, netBandwidth: d.config.EgressBandwidth, egress: d.egress,
		logger: d.logger,
	}
	if err := d.openPool(ctx, maker); err != nil {
		return err
	}
	d.makeInvoker()
	d.onClose(func(ctx context.Context) error { d.invoker.Wait(ctx); return nil })
	d.lambda = &control.Lambda{
		Functions: d.functions, Layers: d.layers, Packages: d.packages, Roles: roles{d.iam}, Runtimes: d.runtimes,
		Invoker:      d.invoker,
		Environments: d.pool, Locations: locations{d.authority.Root}, OwnTags: ownTags{&d.drivers}, Logger: d.logger,
	}
	d.logsAPI.Deliver(logFunctions{d.functions, d.functions.ResourcePolicy, d.invoker})
	d.onClose(func(ctx context.Context) error { d.logsAPI.Drain(ctx); return nil })
	d.lambda.Start(ctx)
	d.onClose(func(ctx context.Context) error { d.lambda.Close(ctx); return nil })
	return nil
}

// serve opens the gateway, on the port and inside environments.
func (d *Daemon) serve(context.Context) (err error) {
	d.front, err = gateway.New(gateway.Options{
		Partition: Partition, Account: d.config.Account, Region: d.config.Region,
		Authority: d.authority, AnyCredentials: d.config.InsecureAnyCredentials,
		Packages: d.packages, Logger: d.logger, Listen: d.config.Listen, AllowedHosts: d.config.AllowedHosts,
		CORSOrigins: d.config.CORSOrigins, Limits: d.config.limits(), AccessLog: d.config.AccessLog,
	}, d.authorize(d.lambda.Handlers().Binding()), d.authorize(d.iam.Handlers().Binding()), d.authorize(d.sts().Handlers().Binding()),
		d.authorize(d.logsAPI.Handlers().Binding()))
	if err != nil {
		return err
	}
	d.inside.Handler = d.front.Inside()
	port, err := d.openPort()
	if err != nil {
		return err
	}
	listeners, err := listen(d.config.Listen)
	if err != nil {
		return err
	}
	d.endpoint.URL, d.endpoint.Region = "http://"+reachable(listeners[0]), d.config.Region
	server := d.config.limits().NewServer(d.front, d.logger)
	for _, l := range listeners {
		d.serveOn(server, port.Listen(l))
	}
	d.onClose(func(ctx context.Context) error {
		close(d.stop)
		err := server.Shutdown(ctx)
		if err != nil {
			d.logger.Warn("cutting off what has not ended in time")
			d.pool.Close() // ends the invocations, and with them the requests
			err = server.Close()
		}
		d.serving.Wait()
		return err
	})
	if err := d.serveMetrics(); err != nil {
		return err
	}
	d.serving.Go(d.keepSweeping)
	for _, failed := range slices.Concat(d.functions.Failed(), d.layers.Failed(), d.iam.Failed(), []<-chan struct{}{d.logsAPI.Failed()}) {
		d.serving.Go(func() {
			select {
			case <-failed:
				d.fail(errors.New("daemon: the store can no longer be followed"))
			case <-d.stop:
			}
		})
	}
	if d.config.InsecureAnyCredentials {
		d.logger.Warn("--insecure-any-credentials: every access key and signature is accepted; whoever reaches " +
			d.endpoint.URL + " is the root user")
	}
	return d.endpoint.write(d.config.DataDir)
}

// serveOn serves a listener until the server is shut down. Any other end is this Hotaru's.
func (d *Daemon) serveOn(server *http.Server, l net.Listener) {
	d.serving.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			d.fail(fmt.Errorf("daemon: %w", err))
		}
	})
}

// fail notes the first reason why this Hotaru cannot go on.
func (d *Daemon) fail(err error) {
	d.failOnce.Do(func() {
		d.err = err
		close(d.failed)
	})
}

// Failed is closed when this Hotaru cannot go on; Err says why.
func (d *Daemon) Failed() <-chan struct{} { return d.failed }

// Err is why Failed was closed, nil as long as it is not.
func (d *Daemon) Err() error {
	select {
	case <-d.failed:
		return d.err
	default:
		return nil
	}
}

// Endpoint says how to reach this Hotaru.
func (d *Daemon) Endpoint() Endpoint { return d.endpoint }

// Close stops taking requests, waits for those under way, cuts them off when ctx ends, and frees everything.
// Everything acknowledged is on disk by then.
func (d *Daemon) Close(ctx context.Context) error {
	d.closeOnce.Do(func() { d.closeErr = d.undo(ctx) })
	return d.closeErr
}
