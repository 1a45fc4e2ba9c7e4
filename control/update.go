package control

import (
	"context"
	"time"

	"hotaru/awsapi/lambda"
	"hotaru/function"
)

// UpdateFunctionCode implements https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html.
func (l *Lambda) UpdateFunctionCode(ctx context.Context, in *lambda.UpdateFunctionCodeRequest) (*lambda.FunctionConfiguration, error) {
	t, err := l.updatable(ctx, in.FunctionName, in.RevisionId)
	if err != nil {
		return nil, err
	}
	if in.PublishTo != nil {
		return nil, notBuilt("PublishTo")
	}
	arch := ""
	if in.Architectures != nil {
		if arch, err = architecture(in.Architectures); err != nil {
			return nil, err
		}
	}
	ref, err := l.storePackage(ctx, &lambda.FunctionCode{
		ZipFile: in.ZipFile, S3Bucket: in.S3Bucket, S3Key: in.S3Key, ImageUri: in.ImageUri,
	})
	if err != nil {
		return nil, err
	}
	how := updating{revisionID: in.RevisionId, dryRun: value(in.DryRun), publish: value(in.Publish)}
	return l.update(ctx, t, how, func(v *function.Version) error {
		v.Code = ref
		set(&v.Architecture, some(arch))
		return checkUnzipped(v)
	})
}

// UpdateFunctionConfiguration implements
// https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html.
func (l *Lambda) UpdateFunctionConfiguration(ctx context.Context,
	in *lambda.UpdateFunctionConfigurationRequest) (*lambda.FunctionConfiguration, error) {
	t, err := l.updatable(ctx, in.FunctionName, in.RevisionId)
	if err != nil {
		return nil, err
	}
	if err := refuseNotBuilt(&lambda.CreateFunctionRequest{
		VpcConfig: in.VpcConfig, FileSystemConfigs: in.FileSystemConfigs, KMSKeyArn: in.KMSKeyArn,
		DeadLetterConfig: in.DeadLetterConfig, ImageConfig: in.ImageConfig,
		CapacityProviderConfig: in.CapacityProviderConfig, DurableConfig: in.DurableConfig,
	}); err != nil {
		return nil, err
	}
	if in.Role != nil {
		if err := l.checkRole(ctx, t.call, *in.Role); err != nil {
			return nil, err
		}
	}
	layers, err := l.useLayers(ctx, t.call, in.Layers)
	if err != nil {
		return nil, err
	}
	change := settings{
		Runtime: in.Runtime, Handler: in.Handler, Role: in.Role, Description: in.Description, Timeout: in.Timeout,
		MemorySize: in.MemorySize, EphemeralStorage: in.EphemeralStorage, Environment: in.Environment,
		TracingConfig: in.TracingConfig, LoggingConfig: in.LoggingConfig, SnapStart: in.SnapStart,
	}
	return l.update(ctx, t, updating{revisionID: in.RevisionId}, func(v *function.Version) error {
		if in.Layers != nil {
			v.Layers = layers
		}
		if err := checkUnzipped(v); err != nil {
			return err
		}
		return change.apply(v)
	})
}

// updatable finds the function of an update and refuses early what update would refuse.
func (l *Lambda) updatable(ctx context.Context, name, revisionID *string) (target, error) {
	t, err := resolve(ctx, name, nil)
	if err != nil {
		return target{}, err
	}
	if err := t.unpublished(); err != nil {
		return target{}, err
	}
	h, err := l.Functions.head(t.id)
	if err != nil {
		return target{}, err
	}
	return t, checkUpdatable(h, revisionID)
}

// checkRevision refuses a change of something that is not as the request thinks.
func checkRevision(now string, given *string) error {
	if given != nil && *given != now {
		return function.Errorf(function.ErrPreconditionFailed, "The Revision Id provided does not match the latest "+
			"Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
	}
	return nil
}

func checkUpdatable(h *head, revisionID *string) error {
	if err := checkRevision(h.RevisionID, revisionID); err != nil {
		return err
	}
	if h.Status.State == function.Pending {
		return inState(function.Pending)
	}
	if h.Status.InProgress() {
		return function.Errorf(function.ErrResourceConflict,
			"The operation cannot be performed at this time. An update is in progress for resource: %s", h.ID.ARN())
	}
	return nil
}

// updating says how an update is made.
type updating struct {
	revisionID      *string
	dryRun, publish bool
}

// update stores the next generation of $LATEST; what serves stays until the update has succeeded.
func (l *Lambda) update(ctx context.Context, t target, how updating,
	change func(v *function.Version) error) (*lambda.FunctionConfiguration, error) {
	var shown *function.Version
	h, err := l.Functions.update(ctx, t.id, func(h *head) ([]*function.Version, error) {
		if err := checkUpdatable(h, how.revisionID); err != nil {
			return nil, err
		}
		current, err := l.Functions.version(ctx, h, h.Latest)
		if err != nil {
			return nil, err
		}
		next := newVersion(current, h.Latest+1, time.Now())
		shown = next
		if err := change(next); err != nil {
			return nil, err
		}
		if how.dryRun {
			return nil, errUnchanged
		}
		h.Latest, h.Status = next.Generation, h.Status.Updating()
		versions := []*function.Version{next}
		if !how.publish {
			return versions, nil
		}
		if shown, err = l.Functions.unchanged(ctx, h, next); shown == nil && err == nil {
			shown = h.publish(next, nil)
			h.Publishing, versions = h.Published, append(versions, shown)
		}
		return versions, err
	})
	if err != nil {
		return nil, err
	}
	if !how.dryRun {
		l.activate(t.id)
	}
	if number := shown.Number(); number != "" {
		t.qualifier = number
	}
	return l.describe(ctx, h, shown, t.qualifier), nil
}
