package telemetry

// Level is how much detail a record of the platform's is, for functions that log JSON.
type Level int

// The levels of system logs, most detail first.
const (
	Debug Level = iota
	Info
	Warn
)

// ParseLevel is a SystemLogLevel of a function's LoggingConfig; INFO, Lambda's default, for none.
func ParseLevel(name string) Level {
	switch name {
	case "DEBUG":
		return Debug
	case "WARN":
		return Warn
	default:
		return Info
	}
}

// LevelOf is a record's level, from AWS's table
// (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html#monitoring-cloudwatchlogs-log-level-mapping).
func LevelOf(r Record) Level {
	switch r := r.(type) {
	case InitStart:
		return infoIf(r.RuntimeVersion != "", Debug)
	case RestoreStart:
		return infoIf(r.RuntimeVersion != "", Debug)
	case InitRuntimeDone:
		return warnUnless(r.Status == Success, Debug)
	case RestoreRuntimeDone:
		return warnUnless(r.Status == Success, Debug)
	case RuntimeDone:
		return warnUnless(r.Status == Success, Debug)
	case InitReport:
		return warnUnless(r.Status == Success, infoIf(r.InitializationType != OnDemand, Debug))
	case Report:
		return warnUnless(r.Status == Success, Info)
	case RestoreReport:
		return warnUnless(r.Status == Success, Info)
	case Extension:
		return warnUnless(r.ErrorType == "", Info)
	case LogsDropped, Fault:
		return Warn
	default: // Start, Subscription
		return Info
	}
}

func infoIf(yes bool, otherwise Level) Level {
	if yes {
		return Info
	}
	return otherwise
}

func warnUnless(well bool, level Level) Level {
	if well {
		return level
	}
	return Warn
}
