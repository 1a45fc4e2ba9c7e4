package daemon

import (
	"hotaru/authorization"
	"hotaru/awsapi"
	"hotaru/services/sts"
)

// authorizer decides by IAM's policies who may do what.
func (d *Daemon) authorizer() *authorization.Authorizer {
	return &authorization.Authorizer{Directory: d.iam, Sessions: d.authority, Resources: d.functions}
}

// authorize puts the decision before every operation of a service.
func (d *Daemon) authorize(b awsapi.Binding) awsapi.Binding { return d.authorizer().Guard(b) }

// sts answers who callers are and makes sessions.
func (d *Daemon) sts() *sts.Service {
	return &sts.Service{Roles: d.iam, Authorizer: d.authorizer(), Authority: d.authority}
}
