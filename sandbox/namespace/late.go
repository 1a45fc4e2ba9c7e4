//go:build linux && (amd64 || arm64)

package namespace

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// late is a limit on a device, which outlives this process if that is killed: it is recorded first.
type late struct {
	device string
	rate   int64
}

// lateRecord is the length of a record in the state directory's file of them, which has a place for each number of a
// sandbox. A file for each sandbox would cost a file system more than all else that is written about one.
const lateRecord = 32

// recordLate writes down a sandbox's late limit; none if that has no rate.
func (s *state) recordLate(number int, l late) error {
	record := make([]byte, lateRecord)
	if l.rate > 0 {
		copy(record, l.device+" "+strconv.FormatInt(l.rate, 10)+"\n")
	}
	if _, err := s.late.WriteAt(record, int64(number)*lateRecord); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// liftAll lifts the limits on record.
func (s *state) liftAll(lift func(device string, rate int64) error) error {
	records, err := os.ReadFile(s.path(lateFile))
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	for len(records) > 0 {
		record := string(records[:min(lateRecord, len(records))])
		records = records[len(record):]
		line, _, whole := strings.Cut(record, "\n")
		device, text, _ := strings.Cut(line, " ")
		rate, err := strconv.ParseInt(text, 10, 64)
		if !whole || err != nil || s.anotherDriver(device) { // none, or cut short by a crash, so before the limit was set
			continue
		}
		if err := lift(device, rate); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	if err := s.late.Truncate(0); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// anotherDriver says whether a loop device on record has become that of another daemon's image: that has lifted what was on
// it, or will in a moment, and may have set a limit of its own that looks the same.
func (s *state) anotherDriver(device string) bool {
	backing, err := os.ReadFile("/sys/dev/block/" + device + "/loop/backing_file")
	return err == nil && strings.Contains(string(backing), "/images/hotaru-") && !strings.HasPrefix(string(backing), s.images()+"/")
}
