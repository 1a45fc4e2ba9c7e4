package function

import "time"

// Version is everything an execution environment of a function's version is made from. Once stored it never
// changes: an update of $LATEST is a new Version with the next Generation.
type Version struct {
	ID ID `json:"id"`
	// Version is "$LATEST" or a published version's number.
	Version string `json:"version"`
	// UID tells a function from an earlier one of the same name.
	UID string `json:"uid"`
	// Generation counts the updates of a function from 1, so that two configurations of $LATEST differ. It is 0 for a
	// published version, of which there is one.
	Generation int `json:"generation"`

	Runtime     string `json:"runtime,omitempty"`
	Handler     string `json:"handler,omitempty"`
	Role        string `json:"role"`
	Description string `json:"description"`
	// TimeoutSeconds, MemoryMB and EphemeralStorageMB are in those units.
	TimeoutSeconds     int `json:"timeoutSeconds"`
	MemoryMB           int `json:"memoryMB"`
	EphemeralStorageMB int `json:"ephemeralStorageMB"`
	// Architecture is "x86_64" or "arm64".
	Architecture string  `json:"architecture"`
	PackageType  string  `json:"packageType"`
	Code         CodeRef `json:"code"`
	// Layers are merged into /opt, each over those before it.
	Layers []LayerRef `json:"layers,omitempty"`
	// Environment is nil when the function was created without one: the API tells {} and none apart.
	Environment map[string]string `json:"-"`
	TracingMode string            `json:"tracingMode"`
	// Tenancy is PerTenant, or empty for a function whose environments serve any caller. It is fixed at creation.
	Tenancy string  `json:"tenancy,omitempty"`
	Logging Logging `json:"logging"`

	LastModified time.Time `json:"lastModified"`
	// Published is nil for $LATEST.
	Published *Publication `json:"published,omitempty"`
}

// Publication is what a published version has besides.
type Publication struct {
	RevisionID string `json:"revisionId"`
	// LatestDescription is $LATEST's at the time: the version may have one of its own.
	LatestDescription string `json:"latestDescription"`
}

// CodeRef points to a stored deployment package.
type CodeRef struct {
	// SHA256 is the package's digest as Lambda shows it: base64.
	SHA256 string `json:"sha256"`
	// Digest is the same in lower-case hex: the name under which it is stored.
	Digest string `json:"digest"`
	// Size in bytes of the zip file, and Unzipped of its contents.
	Size     int64 `json:"size"`
	Unzipped int64 `json:"unzipped"`
}

// Logging is a function's LoggingConfig. The levels are empty with the Text format.
type Logging struct {
	Format           string `json:"format"`
	ApplicationLevel string `json:"applicationLevel,omitempty"`
	SystemLevel      string `json:"systemLevel,omitempty"`
	Group            string `json:"group"`
}

// PerTenant is the tenant isolation mode: an environment serves one tenant alone
// (https://docs.aws.amazon.com/lambda/latest/dg/tenant-isolation.html).
const PerTenant = "PER_TENANT"

// The log formats, and the level that comes with JSON.
const (
	TextLogs        = "Text"
	JSONLogs        = "JSON"
	DefaultLogLevel = "INFO"
)

// ARN is the qualified ARN of this version.
func (v *Version) ARN() string { return v.ID.QualifiedARN(v.Version) }

// CheckTenant refuses an event that does not say whose it is, to a function that serves each tenant apart, and one that
// does, to any other.
func (v *Version) CheckTenant(id string) error {
	switch {
	case v.Tenancy == PerTenant && id == "":
		return Errorf(ErrInvalidParameterValue, "The invoked function is enabled with tenancy configuration. "+
			"Add a valid tenant ID in your request and try again.")
	case v.Tenancy != PerTenant && id != "":
		return Errorf(ErrInvalidParameterValue, "The invoked function is not enabled with tenancy configuration. "+
			"Remove the tenant ID from your request and try again.")
	}
	return nil
}

// Number is a published version's, which is its qualifier; empty for $LATEST.
func (v *Version) Number() string {
	if v.Published == nil {
		return ""
	}
	return v.Version
}

// LayerDigests are the packages of the layers, in their order.
func (v *Version) LayerDigests() []string {
	digests := make([]string, len(v.Layers))
	for i, layer := range v.Layers {
		digests[i] = layer.Code.Digest
	}
	return digests
}

// Timeout is how long one invocation may take.
func (v *Version) Timeout() time.Duration { return time.Duration(v.TimeoutSeconds) * time.Second }

// Key identifies this version, and this generation of $LATEST, among all functions: environments with the
// same key serve the same code and configuration.
func (v *Version) Key() VersionKey { return VersionKey{v.ID, v.UID, v.Version, v.Generation} }

// VersionKey is Version.Key.
type VersionKey struct {
	ID         ID
	UID        string
	Version    string
	Generation int
}

// DefaultLogGroup is where a function logs unless its LoggingConfig says otherwise.
func DefaultLogGroup(name string) string { return "/aws/lambda/" + name }
