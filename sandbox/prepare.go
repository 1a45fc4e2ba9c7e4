package sandbox

// Preparer is a Driver that may keep parts of sandboxes ready, which belong to nobody yet, so that Create takes less time.
type Preparer interface {
	// Prepared is for how many sandboxes there are parts, and for how many more there will be soon.
	Prepared() (ready, coming int)
}
