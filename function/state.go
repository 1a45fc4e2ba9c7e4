package function

// State is a function's State.
type State string

// The states (https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html).
const (
	Pending  State = "Pending"
	Active   State = "Active"
	Inactive State = "Inactive"
	Failed   State = "Failed"
)

// UpdateStatus is a function's LastUpdateStatus.
type UpdateStatus string

// The update statuses.
const (
	UpdateSuccessful UpdateStatus = "Successful"
	UpdateInProgress UpdateStatus = "InProgress"
	UpdateFailed     UpdateStatus = "Failed"
)

// ReasonCode says why a state is what it is.
type ReasonCode string

// The reason codes that Hotaru gives.
const (
	ReasonCreating       ReasonCode = "Creating"
	ReasonInvalidRuntime ReasonCode = "InvalidRuntime"
	ReasonInvalidZipFile ReasonCode = "InvalidZipFileException"
)

// Condition is a state or update status with its reason.
type Condition struct {
	Reason string     `json:"reason,omitempty"`
	Code   ReasonCode `json:"code,omitempty"`
}

// Status is where a function is in its life. The zero value is not a status.
//
//	create ----> Pending ----> Active <----> (update: InProgress -> Successful | Failed)
//	                |
//	                +-------> Failed
type Status struct {
	State      State        `json:"state"`
	StateWhy   Condition    `json:"stateWhy"`
	LastUpdate UpdateStatus `json:"lastUpdate,omitempty"`
	LastWhy    Condition    `json:"lastWhy"`
}

// Creating is the status of a function whose creation has been accepted.
func Creating() Status {
	return Status{State: Pending, StateWhy: Condition{"The function is being created.", ReasonCreating}}
}

// Updating is the status after an update has been accepted.
func (s Status) Updating() Status {
	s.LastUpdate, s.LastWhy = UpdateInProgress, Condition{"The function is being created.", ReasonCreating}
	return s
}

// Ready is the status when the creation or update at hand has succeeded. A function that had failed works
// again after an update that succeeds.
func (s Status) Ready() Status {
	return Status{State: Active, LastUpdate: UpdateSuccessful}
}

// Broken is the status when the creation or update at hand has failed. A function that was active stays so,
// with the version it had.
func (s Status) Broken(why Condition) Status {
	if s.State == Active {
		s.LastUpdate, s.LastWhy = UpdateFailed, why
		return s
	}
	return Status{State: Failed, StateWhy: why, LastUpdate: UpdateFailed, LastWhy: why}
}

// InProgress says whether a creation or an update has yet to end.
func (s Status) InProgress() bool { return s.State == Pending || s.LastUpdate == UpdateInProgress }
