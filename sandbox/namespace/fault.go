//go:build linux && (amd64 || arm64)

package namespace

// Point is a step in the life of a sandbox. Config.Fault is asked before each: a test has the step fail, or the daemon
// or stage-1 die there, and then looks for what is left.
type Point string

// The steps, in the order of a life. Those of Create up to PointSetup run partly at the same time.
const (
	PointDirectory       Point = "directory"        // the sandbox's directory
	PointTmp             Point = "tmp"              // its /tmp
	PointGroup           Point = "group"            // its control groups
	PointClone           Point = "clone"            // stage-1
	PointDisk            Point = "disk"             // the limits of disks
	PointLate            Point = "late"             // the limit that outlives its daemon, once it is on record
	PointSetup           Point = "setup"            // the inside: mounts, sockets
	PointMade            Point = "made"             // nothing more: Create returns
	PointAttach          Point = "attach"           // code
	PointStart           Point = "start"            // a program
	PointFreeze          Point = "freeze"           // stopping everything
	PointThaw            Point = "thaw"             // letting it go on
	PointReset           Point = "reset"            // killing all but stage-1
	PointKill            Point = "kill"             // Destroy: everything inside
	PointRemoveTmp       Point = "remove-tmp"       // /tmp, when nobody has it any more
	PointRemoveGroup     Point = "remove-group"     // the control groups
	PointRemoveDirectory Point = "remove-directory" // the sandbox's directory
	PointGone            Point = "gone"             // nothing more: Destroy returns
)

// The steps of a template and its copies.
const (
	PointTemplateGroup  Point = "template-group"  // the template's control groups
	PointTemplateLaunch Point = "template-launch" // its process
	PointTemplateExec   Point = "template-exec"   // its program
	PointFork           Point = "fork"            // a copy
	PointAdopt          Point = "adopt"           // making it stage-1's, once it is inside
)

// The steps of a hull beyond those that every sandbox has.
const (
	PointHull      Point = "hull"       // all of it
	PointHullMade  Point = "hull-made"  // nothing more: it is ready
	PointHullTaken Point = "hull-taken" // making a sandbox of it, with its limits first
)

// TemplatePoints are those of templates.
var TemplatePoints = []Point{PointTemplateGroup, PointTemplateLaunch, PointTemplateExec, PointFork, PointAdopt}

// Points are all of them.
var Points = []Point{
	PointDirectory, PointTmp, PointGroup, PointClone, PointDisk, PointLate, PointSetup, PointMade, PointAttach, PointStart,
	PointFreeze, PointThaw, PointReset, PointKill, PointRemoveTmp, PointRemoveGroup, PointRemoveDirectory, PointGone,
}

// at asks for the step's fault.
func (d *Driver) at(p Point) error {
	if d.fault == nil {
		return nil
	}
	return d.fault(p)
}

// step does something unless its fault comes first.
func (d *Driver) step(p Point, do func() error) error {
	if err := d.at(p); err != nil {
		return err
	}
	return do()
}
