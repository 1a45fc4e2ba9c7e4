package function

import "time"

// Lambda's own limits (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html). The service
// model allows more in places; the service itself does not.
const (
	MaxNameLength = 64

	DefaultMemoryMB = 128
	MinMemoryMB     = 128
	MaxMemoryMB     = 10240

	DefaultTimeoutSeconds = 3
	MinTimeoutSeconds     = 1
	MaxTimeoutSeconds     = 900

	DefaultEphemeralStorageMB = 512
	MinEphemeralStorageMB     = 512
	MaxEphemeralStorageMB     = 10240

	// MaxEnvironmentBytes bounds the environment variables' JSON text.
	MaxEnvironmentBytes = 4096

	// MaxLayers is how many layers a function may use, and MaxUnzippedBytes what they and its code may come to.
	MaxLayers        = 5
	MaxUnzippedBytes = 250 << 20

	// MaxZippedBytes is for a package in a request, and MaxCodeStorageBytes for all packages of an account in a region,
	// which are told and not enforced: the disk sets the limit here.
	MaxZippedBytes      = 50 << 20
	MaxCodeStorageBytes = 75 << 30

	// MaxPolicyBytes is for the policy of a function, version or alias.
	MaxPolicyBytes = 20480

	// MaxTags is how many tags a function may have.
	MaxTags = 50

	// MaxLogTailBytes is how much of an invocation's log an Invoke with LogType Tail returns.
	MaxLogTailBytes = 4096

	// InitTimeout bounds the Init phase.
	InitTimeout = 10 * time.Second

	// DefaultConcurrency is a new account's limit of concurrent executions in a region.
	DefaultConcurrency = 1000
	// MinUnreserved is how many of them must stay for the functions that have none reserved.
	MinUnreserved = 100

	// MegabytesPerVCPU is the memory that comes with one whole vCPU; less memory gets a part of one, more gets
	// more (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
	MegabytesPerVCPU = 1769
)

// MilliCPU is the CPU share in thousandths of one CPU that comes with an amount of memory.
func MilliCPU(memoryMB int) int64 { return int64(memoryMB) * 1000 / MegabytesPerVCPU }
