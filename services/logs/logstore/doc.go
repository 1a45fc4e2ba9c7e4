// Package logstore keeps log events: groups of streams in append-only segment files, written in groups so that a
// function's output never waits for a disk. It must not know of CloudWatch's requests, nor of functions.
//
// A group is a directory, a segment a file of checksummed records in the order of arrival; all streams of a group
// share its segments, so that thousands of streams cost no file each. One goroutine writes. Append copies an event
// into its group's buffer and returns; the writer takes the buffer after FlushInterval, or sooner when it is large.
//
// What a crash may cost: of the process, the last FlushInterval; of the machine, the last SyncInterval as well. What
// is left is whole: a torn tail is cut off at the next Open. Damage anywhere else is never cut off or hidden; reading
// across it answers store.ErrDamaged.
//
// Lock order: Store.mu before group.mu. The caller of Open holds the data directory's lock.
package logstore
