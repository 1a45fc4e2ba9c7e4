package daemon

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"hotaru/gateway"
)

// Config is everything a Hotaru can be told. The zero value of each field but DataDir is usable.
type Config struct {
	// DataDir holds everything that lasts. It is made if it is missing, mode 0700.
	DataDir string
	// Listen is HOST:PORT. The host "localhost", which is the default, means both 127.0.0.1 and ::1; port 0
	// takes a free one. Default: localhost:4566.
	Listen string
	// TLSCertificate and TLSKey are PEM files of a certificate for other machines; both or none. They are read again
	// when they change. With none, HTTPS is served with the installation's own authority alone.
	TLSCertificate, TLSKey string
	// AllowedHosts are the names, or *.NAME, that requests may be for besides localhost, *.localhost, the listen
	// address and the address that the client reached.
	AllowedHosts []string
	// CORSOrigins are the web origins, SCHEME://HOST[:PORT], whose pages may use this Hotaru. Default: none.
	CORSOrigins []string
	// MaxConnections bounds the connections of the port. Default: gateway.Limits's.
	MaxConnections int
	// MaxBodyMemory bounds the bytes of request bodies in memory at a time. Default: gateway.Limits's.
	MaxBodyMemory int64
	// AccessLog logs every request at Info instead of Debug.
	AccessLog bool
	// Metrics is the HOST:PORT where Prometheus may read metrics, unsigned, at /metrics. Default: nowhere.
	Metrics string
	// Account is the twelve-digit account that the root credential belongs to. Default: 000000000000.
	Account string
	// Region is where requests go whose credential scope names none of its own. Default: us-east-1.
	Region string
	// Sandbox names the driver: "auto", "namespace", "oci" or "process". Default: auto.
	Sandbox string
	// AccountSandbox names the drivers of accounts that have another.
	AccountSandbox map[string]string
	// AllowedSandboxes are the drivers that a function may choose by its tag (function.SandboxTag) besides its account's.
	AllowedSandboxes []string
	// OCIRuntime is the command of the oci driver's runtime, on SearchPath or a path. Default: runc, else runsc.
	OCIRuntime string
	// DiskReserve is how many bytes of the data directory's disk functions leave free: with less, every /tmp is full.
	// Default: 4 GiB, or a twentieth of a disk below 80 GiB.
	DiskReserve int64
	// DiskBandwidth is how many bytes a second one environment may read from disks, and how many it may write.
	// Default: 256 MiB. Negative: as many as the disk gives.
	DiskBandwidth int64
	// Egress is how far functions' networks reach: "internet", or "none" for their own loopback. A function's tag can
	// choose less. Default: internet.
	Egress string
	// EgressDenied are networks, ADDRESS/BITS or ADDRESS, that functions cannot reach, beside those that they never can.
	EgressDenied []string
	// EgressBandwidth is how many bytes a second one environment may send to the outside, and how many it may receive.
	// Default: 75 MB (600 Mbit). Negative: as many as the network gives.
	EgressBandwidth int64
	// ResolvConf names the resolvers of names outside. Default: /etc/resolv.conf.
	ResolvConf string
	// AWSNames says who answers to AWS's names inside environments: "hotaru", or "real" for whoever does outside.
	// Default: hotaru.
	AWSNames string
	// Runtimes is "exact", or "nearest" to run the nearest installed version of a missing runtime's language.
	// Default: exact.
	Runtimes string
	// BaseImages are container images that runtimes' roots are made of instead of the host, [RUNTIME=]IMAGE each; see
	// image.ParseSource. One without a runtime is for all that have none of their own.
	BaseImages []string
	// RegistryKeychain has the credentials for registries of base images. Default: none.
	RegistryKeychain authn.Keychain
	// Proxy says how registries are reached. Default: directly.
	Proxy func(*http.Request) (*url.URL, error)
	// EROFS is "auto", which makes an image of each root where the sandbox driver mounts images, or "off".
	// Default: auto.
	EROFS string
	// SearchPath are directories where interpreters are looked for first: the PATH of whoever serves.
	SearchPath []string
	// HomeDirs are home directories where version managers keep interpreters.
	HomeDirs []string
	// InsecureAnyCredentials accepts every access key and every signature.
	InsecureAnyCredentials bool
	// ReadyBlanks is how many sandboxes, with their interpreter started, are kept ready for each runtime and size
	// in use. Default: 2. Negative: none, and no sandbox is prepared in any other way.
	ReadyBlanks int
	// Prewarm are kinds of such sandboxes that are there before anybody asks and stay, RUNTIME[:MEMORY][=N] each: so many,
	// 2 by default, for functions of the memory size, 128 MB by default.
	Prewarm []string
	// Templates says whose environments may be copies of one started interpreter: "account" for those of one account's
	// functions, or "off" for nobody's. Default: account.
	Templates string
	// MemoryBudget is how many bytes execution environments and prepared sandboxes may use together. Default: four fifths
	// of what the machine has available at the start.
	MemoryBudget int64
	// IdleTime is how long an execution environment waits for its next event. Default: pool.DefaultIdleTime.
	IdleTime time.Duration
	// Logger takes the daemon's own log. Default: none.
	Logger *slog.Logger
}

// The values of Config.Templates.
const (
	TemplatesOff       = "off"
	TemplatesOfAccount = "account"
)

// The defaults of Config.
const (
	DefaultListen        = "localhost:4566"
	DefaultAccount       = "000000000000"
	DefaultRegion        = "us-east-1"
	DefaultDiskBandwidth = 256 << 20
	// DefaultEgressBandwidth is what is observed of Lambda's functions, 600 Mbit/s.
	DefaultEgressBandwidth = 75e6
	// Partition is the only one there is here.
	Partition = "aws"
)

func (c Config) withDefaults() Config {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&c.Listen, DefaultListen)
	set(&c.Account, DefaultAccount)
	set(&c.Region, DefaultRegion)
	set(&c.Sandbox, "auto")
	set(&c.EROFS, "auto")
	set(&c.Templates, TemplatesOfAccount)
	set(&c.Runtimes, "exact")
	set(&c.AWSNames, "hotaru")
	if c.DiskBandwidth == 0 {
		c.DiskBandwidth = DefaultDiskBandwidth
	}
	c.DiskBandwidth = max(c.DiskBandwidth, 0)
	set(&c.Egress, "internet")
	set(&c.ResolvConf, "/etc/resolv.conf")
	if c.EgressBandwidth == 0 {
		c.EgressBandwidth = DefaultEgressBandwidth
	}
	c.EgressBandwidth = max(c.EgressBandwidth, 0)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) limits() gateway.Limits {
	return gateway.Limits{Connections: c.MaxConnections, BodyMemory: c.MaxBodyMemory}
}
