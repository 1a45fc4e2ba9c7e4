// Package pebble is the store's engine for one machine: State and Queues in one pebble database, in one
// directory that one process has open at a time. It must not know what records and messages mean.
//
// # Durability
//
// One committer goroutine gathers what writers bring while the previous fsync runs, writes it as one batch,
// fsyncs the log once and only then shows the result: readers see a snapshot of the last fsynced moment, so
// nobody acts on what a power cut could take back. What was acknowledged survives a kill of the process.
//
// # Damage
//
// Pebble checksums the blocks of its tables, and reading a spoiled one answers ErrDamaged. Its log and its
// manifest are checksummed too, but it takes the first record that does not check for the end of the file
// (the manifest always, the newest log unless a later block proves otherwise). It would therefore drop
// acknowledged commits quietly, and even delete the tables that a spoiled manifest no longer names. So each
// fsync of those files is followed by a note in the file SYNCED: how many bytes of each are fsynced, and
// their CRC (see witness). Open checks the notes before anything is written. This tells apart:
//
//   - A torn tail behind the noted length was never acknowledged: pebble drops it.
//   - Any change in, or loss of, a noted byte is damage: ErrDamaged, and no file is touched. After Close and
//     after a kill of the process (the page cache survives it) every acknowledged byte is noted.
//   - After a power cut SYNCED may be as old as the kernel's last write-back (it is itself fsynced only when
//     a noted file is about to go away). A spoiled record in what was written since then cannot be told from
//     a torn tail, unless a later block of the log proves it, and is dropped as one. Whatever is older is
//     still guarded.
//   - Bytes that nothing depends on (pebble's OPTIONS file, the free slot of SYNCED) may change unnoticed.
//   - Files that are removed or replaced by an older copy as a consistent set, a restored backup, look like
//     what they are: an older state of the store.
package pebble
