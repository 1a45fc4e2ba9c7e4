// Package control is the Lambda API's operations: they validate, store and publish what Lambda knows about
// functions. It must not know how code runs (that is invoke's) nor how requests arrive (awsapi and gateway).
package control

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"hotaru/awsapi/lambda"
	"hotaru/code"
	"hotaru/function"
	"hotaru/invoke"
	"hotaru/runtime"
)

// Packages keeps deployment packages.
type Packages interface {
	// Put checks and stores a zip file. Its refusals carry AWS's code and words.
	Put(ctx context.Context, zip []byte) (code.Package, error)
	// Root unpacks a stored package, once.
	Root(ctx context.Context, digest string) (string, error)
	// Merged unpacks several into one directory, once, each over those before it. Its refusals carry AWS's code.
	Merged(ctx context.Context, digests []string) (string, error)
}

// Roles knows the account's IAM roles.
type Roles interface {
	// Assumable says whether the role exists and its trust policy lets the service principal assume it.
	Assumable(ctx context.Context, account, role, service string) (bool, error)
}

// Runtimes knows what can run here; *runtime.Catalog is it.
type Runtimes interface {
	// Resolve finds a runtime. An error says what is missing and how to mend it.
	Resolve(ctx context.Context, id string) (*runtime.Runtime, error)
}

// Invoker runs events.
type Invoker interface {
	Invoke(ctx context.Context, r *invoke.Request) (*invoke.Result, error)
}

// Environments are told when a function changes.
type Environments interface {
	// Retire ends the execution environments whose version is no longer served, or that are not what the function's
	// tags choose.
	Retire(id function.ID)
}

// Locations makes the URL from which a deployment package can be downloaded for a while.
type Locations interface {
	Location(baseURL string, id function.ID, digest string, now time.Time) (string, error)
}

// Lambda answers the Lambda API. All fields are needed.
type Lambda struct {
	Functions    *Functions
	Layers       *Layers
	Packages     Packages
	Roles        Roles
	Runtimes     Runtimes
	Invoker      Invoker
	Environments Environments
	Locations    Locations
	OwnTags      OwnTags
	Logger       *slog.Logger

	activations activations
	reserving   sync.Mutex // held while concurrent executions are reserved
}

// OwnTags says which values the tags may have that Hotaru itself reads (function.IsOwnTag).
type OwnTags interface {
	// CheckTag answers with what is wrong, for whoever set the tag.
	CheckTag(id function.ID, key, value string) error
}

// Handlers are the operations that are built.
func (l *Lambda) Handlers() lambda.Handlers {
	return lambda.Handlers{
		CreateFunction:              l.CreateFunction,
		GetFunction:                 l.GetFunction,
		GetFunctionConfiguration:    l.GetFunctionConfiguration,
		UpdateFunctionCode:          l.UpdateFunctionCode,
		UpdateFunctionConfiguration: l.UpdateFunctionConfiguration,
		DeleteFunction:              l.DeleteFunction,
		ListFunctions:               l.ListFunctions,
		Invoke:                      l.Invoke,
		InvokeWithResponseStream:    l.InvokeWithResponseStream,

		PublishVersion:         l.PublishVersion,
		ListVersionsByFunction: l.ListVersionsByFunction,

		CreateAlias: l.CreateAlias,
		GetAlias:    l.GetAlias,
		UpdateAlias: l.UpdateAlias,
		DeleteAlias: l.DeleteAlias,
		ListAliases: l.ListAliases,

		AddPermission:    l.AddPermission,
		RemovePermission: l.RemovePermission,
		GetPolicy:        l.GetPolicy,

		PutFunctionConcurrency:    l.PutFunctionConcurrency,
		GetFunctionConcurrency:    l.GetFunctionConcurrency,
		DeleteFunctionConcurrency: l.DeleteFunctionConcurrency,
		GetAccountSettings:        l.GetAccountSettings,

		TagResource:   l.TagResource,
		UntagResource: l.UntagResource,
		ListTags:      l.ListTags,

		PublishLayerVersion:          l.PublishLayerVersion,
		GetLayerVersion:              l.GetLayerVersion,
		GetLayerVersionByArn:         l.GetLayerVersionByArn,
		DeleteLayerVersion:           l.DeleteLayerVersion,
		ListLayerVersions:            l.ListLayerVersions,
		ListLayers:                   l.ListLayers,
		AddLayerVersionPermission:    l.AddLayerVersionPermission,
		RemoveLayerVersionPermission: l.RemoveLayerVersionPermission,
		GetLayerVersionPolicy:        l.GetLayerVersionPolicy,
	}
}

// Start takes up the creations and updates that an earlier process left in progress.
func (l *Lambda) Start(context.Context) {
	for head := range l.Functions.all() {
		if head.Status.InProgress() {
			l.activate(head.ID)
		}
	}
}

// Close waits for the creations and updates under way; ctx bounds the wait. Those that do not end in time are
// taken up by the next Start.
func (l *Lambda) Close(ctx context.Context) { l.activations.close(ctx) }
