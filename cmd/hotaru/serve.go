package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"hotaru/daemon"
	"hotaru/pool"
)

type serveCommand struct {
	dataDir
	Listen                 string            `help:"HOST:PORT; localhost means both 127.0.0.1 and ::1." default:"localhost:4566" env:"HOTARU_LISTEN"`
	TLSCert                string            `help:"A certificate for other machines, and those between it and its authority (PEM); read again when it changes. HTTPS on localhost needs none." type:"path" name:"tls-cert" env:"HOTARU_TLS_CERT" placeholder:"FILE"`
	TLSKey                 string            `help:"Its key (PEM)." type:"path" name:"tls-key" env:"HOTARU_TLS_KEY" placeholder:"FILE"`
	AllowedHost            []string          `help:"A further name that requests may be for, NAME or *.NAME; repeatable. localhost, *.localhost and the listen address always are." env:"HOTARU_ALLOWED_HOST" placeholder:"NAME"`
	CORSOrigin             []string          `help:"A web origin whose pages may use this Hotaru, SCHEME://HOST[:PORT]; repeatable. None may by default." name:"cors-origin" env:"HOTARU_CORS_ORIGIN" placeholder:"ORIGIN"`
	MaxConnections         int               `help:"How many connections may be open; further ones are turned away." default:"4096"`
	MaxBodyMemory          int64             `help:"How many MiB of request bodies may be in memory; further ones wait 2 s and then get status 503." default:"512"`
	AccessLog              bool              `help:"Log a line for every request: operation, status, duration, caller. Never secrets." env:"HOTARU_ACCESS_LOG"`
	Metrics                string            `help:"HOST:PORT where Prometheus may read metrics at /metrics, without a signature. Nowhere by default." env:"HOTARU_METRICS" placeholder:"HOST:PORT"`
	Account                string            `help:"The twelve-digit account of the root credential." default:"000000000000" env:"HOTARU_ACCOUNT"`
	Region                 string            `help:"The region that hotaru env prints." default:"us-east-1" env:"HOTARU_REGION"`
	Sandbox                string            `help:"How functions are isolated: auto, namespace, oci (a container of runc's or gVisor's), or process (not at all)." default:"auto" enum:"auto,namespace,oci,process" env:"HOTARU_SANDBOX"`
	SandboxAllow           []string          `help:"A way that a function may choose by its tag hotaru:sandbox, besides its account's; repeatable." enum:"namespace,oci,process" name:"sandbox-allow" env:"HOTARU_SANDBOX_ALLOW" placeholder:"SANDBOX"`
	AccountSandbox         map[string]string `help:"How the functions of one account are isolated, where that differs: ACCOUNT=SANDBOX; repeatable." name:"account-sandbox" mapsep:"," env:"HOTARU_ACCOUNT_SANDBOX" placeholder:"ACCOUNT=SANDBOX"`
	OCIRuntime             string            `help:"The OCI runtime of --sandbox=oci: runc, runsc (gVisor), or a path. By default the first that is there." name:"oci-runtime" env:"HOTARU_OCI_RUNTIME" placeholder:"COMMAND"`
	DiskReserve            int64             `help:"How many MiB of the data directory's disk functions leave free: with less, every /tmp is full. By default 4096, or a twentieth of a small disk." env:"HOTARU_DISK_RESERVE"`
	DiskBandwidth          int64             `help:"How many MiB a second one execution environment may read from disks, and how many it may write; 0 is no limit." default:"256" env:"HOTARU_DISK_BANDWIDTH"`
	Egress                 string            `help:"How far functions' networks reach: internet, or none for no further than AWS's APIs here. A function's tag hotaru:egress=none chooses none for it." default:"internet" enum:"internet,none" env:"HOTARU_EGRESS"`
	EgressDeny             []string          `help:"A network that functions cannot reach, ADDRESS or ADDRESS/BITS; repeatable. This machine, its link and metadata services they never reach." env:"HOTARU_EGRESS_DENY" placeholder:"NETWORK"`
	EgressBandwidth        int64             `help:"How many Mbit a second one execution environment may send to the outside, and how many it may receive; 0 is no limit." default:"600" env:"HOTARU_EGRESS_BANDWIDTH"`
	MemoryBudget           int64             `help:"How many MiB of memory execution environments may use together; when they do, the idlest end, and then invocations wait up to 1 s before they are throttled. By default four fifths of what is available at the start." env:"HOTARU_MEMORY_BUDGET"`
	Templates              string            `help:"Whose environments may be copies of one started interpreter, where many are made at once: account (those of one account's functions) or off." enum:"account,off" default:"account" env:"HOTARU_TEMPLATES"`
	Prewarm                []string          `help:"Sandboxes to keep ready, with the interpreter started, before any function asks: RUNTIME[:MEMORY][=N], 128 MB and 2 by default; repeatable." env:"HOTARU_PREWARM" placeholder:"RUNTIME[:MEMORY][=N]"`
	AWSNames               string            `help:"Who answers when a function calls AWS by name, *.amazonaws.com: hotaru, or whoever does outside (real)." name:"aws-names" default:"hotaru" enum:"hotaru,real" env:"HOTARU_AWS_NAMES"`
	Runtimes               string            `help:"For a runtime that is not installed: exact refuses it, nearest runs the nearest version of its language." default:"exact" enum:"exact,nearest" env:"HOTARU_RUNTIMES"`
	EROFS                  string            `help:"Whether code and base images become EROFS images: auto does so where the kernel mounts them, off makes directories." name:"erofs" default:"auto" enum:"auto,off" env:"HOTARU_EROFS"`
	BaseImage              []string          `help:"A container image whose files functions see instead of the host's, [RUNTIME=]IMAGE: a directory of OCI's layout or a tar file of docker save, whose path starts with / or ., or a registry's reference; repeatable." name:"base-image" env:"HOTARU_BASE_IMAGE" placeholder:"IMAGE"`
	InsecureAnyCredentials bool              `help:"Accept every access key and signature, as emulators do. For migration only: whoever reaches the port is root."`
	DrainTimeout           time.Duration     `help:"How long running invocations may take to end after SIGTERM." default:"15m"`
	LogFormat              string            `help:"The daemon's own log: text or json." default:"text" enum:"text,json"`
}

// minBodyMemory, in MiB, holds the largest deployment package.
const minBodyMemory = 128

// minDiskReserve, in MiB, is what functions write between two looks at the disk, and a store's next files.
const minDiskReserve = 64

// minMemoryBudget, in MiB, is the smallest function's memory.
const minMemoryBudget = 128

// Validate implements kong's hook.
func (c serveCommand) Validate() error {
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key come together")
	case c.MaxConnections < 1:
		return errors.New("--max-connections is at least 1")
	case c.MaxBodyMemory < minBodyMemory:
		return fmt.Errorf("--max-body-memory is at least %d, so that the largest body has room", minBodyMemory)
	case c.DiskReserve != 0 && c.DiskReserve < minDiskReserve:
		return fmt.Errorf("--disk-reserve is at least %d, so that the store has room", minDiskReserve)
	case c.MemoryBudget != 0 && c.MemoryBudget < minMemoryBudget:
		return fmt.Errorf("--memory-budget is at least %d, so that a function has room", minMemoryBudget)
	case c.DiskBandwidth < 0 || c.EgressBandwidth < 0:
		return errors.New("--disk-bandwidth and --egress-bandwidth are not negative")
	}
	return nil
}

// mbit is a megabit in bytes.
const mbit = 1e6 / 8

// orNone is a limit as the daemon takes it: no limit, 0 here, is -1 there.
func orNone(limit int64) int64 {
	if limit == 0 {
		return -1
	}
	return limit
}

func (c serveCommand) Run() error {
	dir, err := c.path()
	if err != nil {
		return err
	}
	var handler slog.Handler = slog.NewTextHandler(os.Stderr, nil)
	if c.LogFormat == "json" {
		handler = slog.NewJSONHandler(os.Stderr, nil)
	}
	logger := slog.New(handler)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	if os.Geteuid() != 0 && c.Sandbox != "process" {
		return rerun(dir, signals)
	}

	defer runtime.KeepAlive(newBallast(pool.Machine{}))
	d, err := daemon.Start(context.Background(), daemon.Config{
		DataDir: dir, Listen: c.Listen, TLSCertificate: c.TLSCert, TLSKey: c.TLSKey,
		AllowedHosts: c.AllowedHost, CORSOrigins: c.CORSOrigin, AccessLog: c.AccessLog, Metrics: c.Metrics,
		MaxConnections: c.MaxConnections, MaxBodyMemory: c.MaxBodyMemory << 20,
		Account: c.Account, Region: c.Region, Sandbox: c.Sandbox,
		AllowedSandboxes: c.SandboxAllow, AccountSandbox: c.AccountSandbox, OCIRuntime: c.OCIRuntime,
		DiskReserve: c.DiskReserve << 20, DiskBandwidth: orNone(c.DiskBandwidth << 20),
		Egress: c.Egress, EgressDenied: c.EgressDeny, EgressBandwidth: orNone(c.EgressBandwidth * mbit),
		MemoryBudget: c.MemoryBudget << 20, Prewarm: c.Prewarm, Templates: c.Templates,
		AWSNames: c.AWSNames, Runtimes: c.Runtimes, InsecureAnyCredentials: c.InsecureAnyCredentials,
		EROFS: c.EROFS, BaseImages: c.BaseImage, RegistryKeychain: authn.DefaultKeychain, Proxy: http.ProxyFromEnvironment,
		SearchPath: filepath.SplitList(os.Getenv("PATH")), HomeDirs: homes(), Logger: logger,
	})
	if err != nil {
		return err
	}
	select {
	case s := <-signals:
		logger.Info("draining: running invocations may end, a second signal cuts them off", "signal", s.String())
	case <-d.Failed():
		logger.Error("stopping", "error", d.Err())
	}
	return errors.Join(d.Err(), drain(d, signals, c.DrainTimeout))
}

// drain stops the daemon, gently until a second signal or the limit.
func drain(d *daemon.Daemon, signals <-chan os.Signal, limit time.Duration) error {
	ctx, cut := context.WithTimeout(context.Background(), limit)
	defer cut()
	ended := make(chan error, 1)
	go func() { ended <- d.Close(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-signals:
			cut()
		}
	}
}
