package control

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"hotaru/awsapi/lambda"
	"hotaru/function"
	"hotaru/runtime"
)

// This file is the service's own layer of checks, behind the model's. Its words and codes are Lambda's.

// settings are the members that CreateFunction and UpdateFunctionConfiguration share; nil ones are not given.
type settings struct {
	Runtime, Handler, Role, Description *string
	Timeout, MemorySize                 *int32
	EphemeralStorage                    *lambda.EphemeralStorage
	Environment                         *lambda.Environment
	TracingConfig                       *lambda.TracingConfig
	LoggingConfig                       *lambda.LoggingConfig
	SnapStart                           *lambda.SnapStart
}

// apply checks the settings and writes those given over v.
func (s settings) apply(v *function.Version) error {
	if err := s.applyLimits(v); err != nil {
		return err
	}
	if s.Runtime != nil {
		if err := checkRuntime(*s.Runtime); err != nil {
			return err
		}
		v.Runtime = *s.Runtime
	}
	if s.Environment != nil {
		if err := checkEnvironment(s.Environment.Variables); err != nil {
			return err
		}
		v.Environment = s.Environment.Variables
		if v.Environment == nil {
			v.Environment = map[string]string{}
		}
	}
	if s.SnapStart != nil && value(s.SnapStart.ApplyOn) == "PublishedVersions" {
		return notBuilt("SnapStart")
	}
	if s.TracingConfig != nil && s.TracingConfig.Mode != nil {
		v.TracingMode = *s.TracingConfig.Mode
	}
	set(&v.Handler, s.Handler)
	set(&v.Role, s.Role)
	set(&v.Description, s.Description)
	return s.applyLogging(v)
}

// checkRuntime refuses what Lambda does not know, and what nothing could make run.
func checkRuntime(id string) error {
	if _, known := runtime.Lookup(id); !known {
		var supported []string
		for _, info := range runtime.Known() {
			if info.Deprecated == "" {
				supported = append(supported, info.ID)
			}
		}
		return invalid("Value %s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [%s] or "+
			"be a valid ARN", id, strings.Join(supported, ", "))
	}
	if runtime.Retired(id) {
		return invalid("The runtime parameter of %s is no longer supported for creating or updating AWS Lambda functions. "+
			"We recommend you use a supported runtime while creating or updating functions.", id)
	}
	return nil
}

func (s settings) applyLimits(v *function.Version) error {
	if s.MemorySize != nil {
		if err := within("MemorySize", int(*s.MemorySize), function.MinMemoryMB, function.MaxMemoryMB); err != nil {
			return err
		}
		v.MemoryMB = int(*s.MemorySize)
	}
	if s.Timeout != nil {
		if err := within("Timeout", int(*s.Timeout), function.MinTimeoutSeconds, function.MaxTimeoutSeconds); err != nil {
			return err
		}
		v.TimeoutSeconds = int(*s.Timeout)
	}
	if s.EphemeralStorage != nil && s.EphemeralStorage.Size != nil {
		size := int(*s.EphemeralStorage.Size)
		if err := within("EphemeralStorage", size, function.MinEphemeralStorageMB, function.MaxEphemeralStorageMB); err != nil {
			return err
		}
		v.EphemeralStorageMB = size
	}
	return nil
}

// applyLogging writes a LoggingConfig over the one there is. Levels belong to the JSON format: it comes with INFO, and
// they go with it.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html
func (s settings) applyLogging(v *function.Version) error {
	if s.LoggingConfig == nil {
		return nil
	}
	next := v.Logging
	set(&next.Format, s.LoggingConfig.LogFormat)
	set(&next.Group, s.LoggingConfig.LogGroup)
	switch {
	case next.Format != function.JSONLogs && (s.LoggingConfig.ApplicationLogLevel != nil || s.LoggingConfig.SystemLogLevel != nil):
		return invalid("Application and system log levels can only be set when LogFormat is set to JSON.")
	case next.Format != function.JSONLogs:
		next.ApplicationLevel, next.SystemLevel = "", ""
	case v.Logging.Format != function.JSONLogs:
		next.ApplicationLevel, next.SystemLevel = function.DefaultLogLevel, function.DefaultLogLevel
	}
	set(&next.ApplicationLevel, s.LoggingConfig.ApplicationLogLevel)
	set(&next.SystemLevel, s.LoggingConfig.SystemLogLevel)
	v.Logging = next
	return nil
}

func set(field *string, given *string) {
	if given != nil {
		*field = *given
	}
}

// within checks a limit that is narrower than the model's.
func within(name string, v, least, most int) error {
	switch {
	case v > most:
		return invalid("'%s' value failed to satisfy constraint: Member must have value less than or equal to %d", name, most)
	case v < least:
		return invalid("'%s' value failed to satisfy constraint: Member must have value greater than or equal to %d", name, least)
	}
	return nil
}

// checkEnvironment refuses reserved names and more than 4 KB.
func checkEnvironment(variables map[string]string) error {
	var reserved []string
	for name := range variables {
		if slices.Contains(runtime.ReservedVariables(), name) {
			reserved = append(reserved, name)
		}
	}
	const unable = "Lambda was unable to configure your environment variables because the environment variables you have provided "
	if reserved != nil {
		slices.Sort(reserved)
		return invalid(unable+"contains reserved keys that are currently not supported for modification. Reserved keys "+
			"used in this request: %s", strings.Join(reserved, ", "))
	}
	// The text that AWS measures and shows has no HTML escapes.
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(variables); err != nil {
		return err
	}
	measured := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	if len(measured) > function.MaxEnvironmentBytes {
		return invalid(unable+"exceeded the 4KB limit. String measured: %s", measured)
	}
	return nil
}

// architecture checks a list that may hold one.
func architecture(given []string) (string, error) {
	switch len(given) {
	case 0:
		return runtime.HostArchitecture(), nil
	case 1:
		if given[0] != runtime.HostArchitecture() {
			return "", invalid("Functions with architecture %s cannot run here: this machine is %s",
				given[0], runtime.HostArchitecture())
		}
		return given[0], nil
	default:
		return "", invalid("Architectures list can only have one element")
	}
}

func invalid(format string, args ...any) error {
	return function.Errorf(function.ErrInvalidParameterValue, format, args...)
}

// notBuilt refuses a member that would have an effect on AWS and has none here yet.
func notBuilt(what string) error {
	return function.Errorf(function.ErrNotImplemented, "%s is not built yet in this version of Hotaru.", what)
}
