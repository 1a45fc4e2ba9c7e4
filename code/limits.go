package code

// Lambda's limits. Its messages say "smaller than", so the figure itself is refused already.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const (
	// maxZipped is for a zip file in the request itself, in bytes.
	maxZipped = 50 << 20
	// maxUnzipped is for the contents of all entries together, in bytes.
	maxUnzipped = 250 << 20
	// mostUnzipped is the largest size that is not refused.
	mostUnzipped = maxUnzipped - 1
)

// Hotaru's own bounds on what a small zip file may cost. Packages that fit into maxUnzipped with files of a
// sensible size stay far below.
const (
	// maxNodes bounds files, links and directories, those included that only an entry's name implies.
	maxNodes = 100_000
	// maxEntries bounds what the directory of the zip file may list; repeated directories make it more than
	// the nodes.
	maxEntries = 2 * maxNodes
	// maxLinks bounds symbolic links: each costs a walk.
	maxLinks = 10_000
	// maxDepth is in path elements; as many directories are open while a package is unpacked.
	maxDepth = 128
	// maxElement is Linux's NAME_MAX, in bytes.
	maxElement = 255
	// maxPath leaves room below Linux's PATH_MAX (4096 bytes) for what the package is mounted on.
	maxPath = 3072
	// maxTarget is what a symbolic link of Linux can hold, in bytes.
	maxTarget = 4095
	// maxFollowed is how many links Linux follows for one path.
	maxFollowed = 40
	// maxWalked bounds the path elements of one link's walk, those of followed links included.
	maxWalked = 4096
)
