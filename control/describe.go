package control

import (
	"context"
	"time"

	"hotaru/awsapi/lambda"
	"hotaru/function"
)

// describe shows a function as the API does. A qualifier that the request named is part of the ARN.
func (l *Lambda) describe(ctx context.Context, h *head, v *function.Version, qualifier string) *lambda.FunctionConfiguration {
	c := l.summarize(v, qualifier)
	c.RevisionId = ptr(h.revisionOf(v))
	s := h.statusOf(v)
	c.State = ptr(string(s.State))
	c.StateReason, c.StateReasonCode = some(s.StateWhy.Reason), some(string(s.StateWhy.Code))
	c.LastUpdateStatus = some(string(s.LastUpdate))
	c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = some(s.LastWhy.Reason), some(string(s.LastWhy.Code))
	c.RuntimeVersionConfig = l.runtimeVersion(ctx, v)
	return c
}

// summarize shows what ListFunctions shows of a function: less than the others
// (https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html).
func (l *Lambda) summarize(v *function.Version, qualifier string) *lambda.FunctionConfiguration {
	c := &lambda.FunctionConfiguration{
		FunctionName:     ptr(v.ID.Name),
		FunctionArn:      ptr(v.ID.QualifiedARN(qualifier)),
		Runtime:          some(v.Runtime),
		Role:             ptr(v.Role),
		Handler:          some(v.Handler),
		CodeSize:         ptr(v.Code.Size),
		CodeSha256:       ptr(v.Code.SHA256),
		Description:      ptr(v.Description),
		Timeout:          ptr(int32(v.TimeoutSeconds)),
		MemorySize:       ptr(int32(v.MemoryMB)),
		LastModified:     ptr(lambdaTime(v.LastModified)),
		Version:          ptr(v.Version),
		PackageType:      ptr(v.PackageType),
		Architectures:    []string{v.Architecture},
		TracingConfig:    &lambda.TracingConfigResponse{Mode: ptr(v.TracingMode)},
		EphemeralStorage: &lambda.EphemeralStorage{Size: ptr(int32(v.EphemeralStorageMB))},
		SnapStart: &lambda.SnapStartResponse{
			ApplyOn: ptr("None"), OptimizationStatus: ptr("Off"),
		},
		LoggingConfig: &lambda.LoggingConfig{
			LogFormat: ptr(v.Logging.Format), LogGroup: ptr(v.Logging.Group),
			ApplicationLogLevel: some(v.Logging.ApplicationLevel), SystemLogLevel: some(v.Logging.SystemLevel),
		},
	}
	for _, layer := range v.Layers {
		c.Layers = append(c.Layers, lambda.Layer{Arn: ptr(layer.ARN), CodeSize: ptr(layer.Code.Size)})
	}
	if v.Tenancy != "" {
		c.TenancyConfig = &lambda.TenancyConfig{TenantIsolationMode: ptr(v.Tenancy)}
	}
	if v.Environment != nil {
		c.Environment = &lambda.EnvironmentResponse{Variables: v.Environment}
	}
	return c
}

// runtimeVersion shows which runtime version runs a function, with the warning if another one stands in. A
// runtime that is missing here has no version.
func (l *Lambda) runtimeVersion(ctx context.Context, v *function.Version) *lambda.RuntimeVersionConfig {
	installed, err := l.Runtimes.Resolve(ctx, v.Runtime)
	if err != nil {
		return &lambda.RuntimeVersionConfig{Error: &lambda.RuntimeVersionError{
			ErrorCode: ptr(string(function.ReasonInvalidRuntime)), Message: ptr(err.Error()),
		}}
	}
	c := &lambda.RuntimeVersionConfig{
		RuntimeVersionArn: ptr(function.RuntimeVersionARN(v.ID.Partition, v.ID.Region, installed.VersionID())),
	}
	if installed.Warning != "" {
		c.Error = &lambda.RuntimeVersionError{ErrorCode: ptr("NearestRuntime"), Message: ptr(installed.Warning)}
	}
	return c
}

// lambdaTime is the form of LastModified: "2024-04-08T16:56:22.000+0000".
func lambdaTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000-0700") }
