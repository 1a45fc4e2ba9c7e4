package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"hotaru/store"
)

// A witness notes, for each log and manifest, how much of it is fsynced and what those bytes were. Its file
// has two slots of one sector each, written in turn, so that a torn write spoils only the older knowledge.
// Notes reach the disk by the kernel's write-back; they are fsynced only before a noted file goes away, so
// that a witness that survives a power cut never names a file that was removed properly.
type witness struct {
	mu       sync.Mutex
	file     *os.File
	sequence uint64
	notes    map[string]note // by file name
	slot     [slotBytes]byte
}

// note says that a file's first length bytes are fsynced and have this CRC-32C.
type note struct {
	length uint64
	crc    uint32
}

const (
	slotBytes   = 512
	slotSpacing = 4096
	slotMagic   = "HSY1"
	// Slot: magic 4, sequence 8, count 1, notes, CRC-32C 4. Note: name's length 1, name, length 8, CRC 4.
	slotHeader = 4 + 8 + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// createWitness makes an empty witness file durably; its directory entry is the caller's to fsync.
func createWitness(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	w := &witness{file: f, notes: map[string]note{}}
	err = errors.Join(w.writeLocked(), w.writeLocked(), f.Sync())
	return errors.Join(err, f.Close())
}

// openWitness reads the newest slot that is whole.
func openWitness(path string) (*witness, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is missing", store.ErrDamaged, path)
	} else if err != nil {
		return nil, err
	}
	w := &witness{file: f}
	for i := range int64(2) {
		n, err := f.ReadAt(w.slot[:], i*slotSpacing)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, errors.Join(err, f.Close())
		}
		sequence, notes, ok := decodeSlot(w.slot[:n])
		if ok && (w.notes == nil || sequence > w.sequence) {
			w.sequence, w.notes = sequence, notes
		}
	}
	if w.notes == nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", store.ErrDamaged, path), f.Close())
	}
	return w, nil
}

// verify compares every noted file in dir with its note.
func (w *witness) verify(dir string) error {
	for name, n := range w.notes {
		f, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: %s is missing", store.ErrDamaged, filepath.Join(dir, name))
		} else if err != nil {
			return err
		}
		sum := crc32.New(castagnoli)
		read, err := io.Copy(sum, io.LimitReader(f, int64(n.length)))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if uint64(read) != n.length || sum.Sum32() != n.crc {
			return fmt.Errorf("%w: %s is not what was written", store.ErrDamaged, filepath.Join(dir, name))
		}
	}
	return nil
}

// record notes what is fsynced of a file.
func (w *witness) record(name string, n note) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes[name] = n
	return w.writeLocked()
}

// forget drops a file's note durably: call it before the file goes away.
func (w *witness) forget(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, noted := w.notes[name]; !noted {
		return nil
	}
	delete(w.notes, name)
	if err := w.writeLocked(); err != nil {
		return err
	}
	return w.file.Sync()
}

func (w *witness) close() error { return errors.Join(w.file.Sync(), w.file.Close()) }

func (w *witness) writeLocked() error {
	w.sequence++
	if err := encodeSlot(w.slot[:], w.sequence, w.notes); err != nil {
		return err
	}
	_, err := w.file.WriteAt(w.slot[:], int64(w.sequence%2)*slotSpacing)
	return err
}

func encodeSlot(slot []byte, sequence uint64, notes map[string]note) error {
	clear(slot)
	copy(slot, slotMagic)
	binary.BigEndian.PutUint64(slot[4:], sequence)
	slot[12] = byte(len(notes))
	at := slotHeader
	for name, n := range notes {
		if len(name) > 255 || at+1+len(name)+12+4 > len(slot) {
			return fmt.Errorf("store: %d logs and manifests are too many to note", len(notes))
		}
		slot[at] = byte(len(name))
		at += 1 + copy(slot[at+1:], name)
		binary.BigEndian.PutUint64(slot[at:], n.length)
		binary.BigEndian.PutUint32(slot[at+8:], n.crc)
		at += 12
	}
	end := len(slot) - 4
	binary.BigEndian.PutUint32(slot[end:], crc32.Checksum(slot[:end], castagnoli))
	return nil
}

func decodeSlot(slot []byte) (sequence uint64, notes map[string]note, ok bool) {
	if len(slot) != slotBytes || string(slot[:4]) != slotMagic {
		return 0, nil, false
	}
	end := len(slot) - 4
	if binary.BigEndian.Uint32(slot[end:]) != crc32.Checksum(slot[:end], castagnoli) {
		return 0, nil, false
	}
	notes = make(map[string]note)
	at := slotHeader
	for range slot[12] {
		if at >= end || at+1+int(slot[at])+12 > end {
			return 0, nil, false
		}
		size := int(slot[at])
		name := string(slot[at+1 : at+1+size])
		at += 1 + size
		if !isGuarded(name) {
			return 0, nil, false
		}
		notes[name] = note{length: binary.BigEndian.Uint64(slot[at:]), crc: binary.BigEndian.Uint32(slot[at+8:])}
		at += 12
	}
	return binary.BigEndian.Uint64(slot[4:]), notes, true
}

// isGuarded says whether a file is one that pebble would read short without an error.
func isGuarded(name string) bool {
	if number, ok := strings.CutPrefix(name, "MANIFEST-"); ok {
		return isNumber(number)
	}
	number, ok := strings.CutSuffix(name, ".log")
	return ok && isNumber(number)
}

func isNumber(s string) bool {
	return s != "" && !slices.ContainsFunc([]byte(s), func(c byte) bool { return c < '0' || c > '9' })
}
