package control

import (
	"context"
	"time"

	"github.com/google/uuid"

	"hotaru/awsapi"
	"hotaru/awsapi/lambda"
	"hotaru/function"
)

// CreateFunction implements https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html.
func (l *Lambda) CreateFunction(ctx context.Context, in *lambda.CreateFunctionRequest) (*lambda.FunctionConfiguration, error) {
	t, err := resolve(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if err := t.unpublished(); err != nil {
		return nil, err
	}
	if err := refuseNotBuilt(in); err != nil {
		return nil, err
	}
	if in.Runtime == nil || in.Handler == nil {
		return nil, invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	if err := l.checkTags(t.id, in.Tags, len(in.Tags)); err != nil {
		return nil, err
	}
	v := &function.Version{
		ID: t.id, UID: uuid.NewString(), Version: function.Latest, Generation: 1,
		TimeoutSeconds: function.DefaultTimeoutSeconds, MemoryMB: function.DefaultMemoryMB,
		EphemeralStorageMB: function.DefaultEphemeralStorageMB, PackageType: "Zip", TracingMode: "PassThrough",
		Logging:      function.Logging{Format: function.TextLogs, Group: function.DefaultLogGroup(t.id.Name)},
		LastModified: time.Now(),
	}
	if v.Architecture, err = architecture(in.Architectures); err != nil {
		return nil, err
	}
	err = settings{
		Runtime: in.Runtime, Handler: in.Handler, Role: in.Role, Description: in.Description, Timeout: in.Timeout,
		MemorySize: in.MemorySize, EphemeralStorage: in.EphemeralStorage, Environment: in.Environment,
		TracingConfig: in.TracingConfig, LoggingConfig: in.LoggingConfig, SnapStart: in.SnapStart,
	}.apply(v)
	if err != nil {
		return nil, err
	}
	if in.TenancyConfig != nil {
		v.Tenancy = value(in.TenancyConfig.TenantIsolationMode)
	}
	if err := l.checkRole(ctx, t.call, v.Role); err != nil {
		return nil, err
	}
	if v.Layers, err = l.useLayers(ctx, t.call, in.Layers); err != nil {
		return nil, err
	}
	if _, err := l.Functions.head(t.id); err == nil {
		// Told before the package is unpacked, for nothing; create tells for certain.
		return nil, function.Errorf(function.ErrResourceConflict, "Function already exist: %s", t.id.Name)
	}
	if v.Code, err = l.storePackage(ctx, in.Code); err != nil {
		return nil, err
	}
	if err := checkUnzipped(v); err != nil {
		return nil, err
	}
	h := &head{ID: v.ID, UID: v.UID, Latest: v.Generation, Status: function.Creating(), Tags: in.Tags}
	versions, shown := []*function.Version{v}, v
	if value(in.Publish) {
		shown = h.publish(v, nil)
		h.Publishing, versions = h.Published, append(versions, shown)
	}
	if err := l.Functions.create(ctx, h, versions...); err != nil {
		return nil, err
	}
	l.activate(v.ID)
	return l.describe(ctx, h, shown, shown.Number()), nil
}

// refuseNotBuilt names the members that would have an effect on AWS and have none here yet.
func refuseNotBuilt(in *lambda.CreateFunctionRequest) error {
	switch {
	case value(in.PackageType) == "Image":
		return notBuilt("PackageType Image")
	case in.PublishTo != nil:
		return notBuilt("PublishTo")
	case in.VpcConfig != nil && len(in.VpcConfig.SubnetIds)+len(in.VpcConfig.SecurityGroupIds) > 0:
		return notBuilt("VpcConfig")
	case len(in.FileSystemConfigs) > 0:
		return notBuilt("FileSystemConfigs")
	case in.DeadLetterConfig != nil && value(in.DeadLetterConfig.TargetArn) != "":
		return notBuilt("DeadLetterConfig")
	case value(in.KMSKeyArn) != "":
		return notBuilt("KMSKeyArn")
	case value(in.CodeSigningConfigArn) != "":
		return notBuilt("CodeSigningConfigArn")
	case in.ImageConfig != nil:
		return notBuilt("ImageConfig")
	case in.CapacityProviderConfig != nil:
		return notBuilt("CapacityProviderConfig")
	case in.DurableConfig != nil:
		return notBuilt("DurableConfig")
	}
	return nil
}

// checkRole refuses an execution role that Lambda could not assume.
func (l *Lambda) checkRole(ctx context.Context, call *awsapi.Call, arn string) error {
	role, err := function.ParseRoleARN(arn)
	if err != nil {
		return invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	if role.Account != call.Scope.Account {
		return function.Errorf(function.ErrAccessDenied, "Cross-account pass role is not allowed.")
	}
	assumable, err := l.Roles.Assumable(ctx, role.Account, role.Name, "lambda.amazonaws.com")
	if err != nil {
		return err
	}
	if !assumable {
		return invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	return nil
}

// storePackage keeps a deployment package, so that whatever is wrong with it is said to
// the caller who brought it.
func (l *Lambda) storePackage(ctx context.Context, in *lambda.FunctionCode) (function.CodeRef, error) {
	switch {
	case in == nil:
		return function.CodeRef{}, invalid("Please provide a source for function code.")
	case in.S3Bucket != nil || in.S3Key != nil:
		return function.CodeRef{}, notBuilt("Code from S3")
	case in.ImageUri != nil:
		return function.CodeRef{}, notBuilt("Code from an image")
	case in.ZipFile == nil:
		return function.CodeRef{}, invalid("Please provide a source for function code.")
	}
	return l.keepPackage(ctx, in.ZipFile)
}

// keepPackage checks, stores and unpacks a zip file.
func (l *Lambda) keepPackage(ctx context.Context, zip []byte) (function.CodeRef, error) {
	p, err := l.Packages.Put(ctx, zip)
	if err != nil {
		return function.CodeRef{}, err
	}
	if _, err := l.Packages.Root(ctx, p.Digest); err != nil {
		return function.CodeRef{}, err
	}
	return function.CodeRef{SHA256: p.SHA256, Digest: p.Digest, Size: p.Size, Unzipped: p.Unzipped}, nil
}
