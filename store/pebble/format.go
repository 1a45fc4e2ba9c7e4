package pebble

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"

	"hotaru/store"
)

// The directory of a store: FORMAT says that it is one and of which version, SYNCED is the witness, db is
// pebble's, PID names the process that has it open. INIT is there while the first Open makes the rest, and
// means that nothing was acknowledged yet: the next Open starts over.
const (
	formatFile  = "FORMAT"
	witnessFile = "SYNCED"
	initFile    = "INIT"
	dbDir       = "db"

	formatLine = "hotaru store, engine pebble, version 1"
)

// checkFormat says whether dir holds a store (true), nothing yet (false), or something else (an error).
func checkFormat(dir string) (bool, error) {
	if _, err := os.Lstat(filepath.Join(dir, initFile)); err == nil {
		return false, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	content, err := os.ReadFile(filepath.Join(dir, formatFile))
	if err == nil {
		return true, parseFormat(dir, string(content))
	} else if !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if e.Name() != pidFile {
			return false, fmt.Errorf("%w: %s has no %s file but other files", store.ErrFormat, dir, formatFile)
		}
	}
	return false, nil
}

func parseFormat(dir, content string) error {
	line, sum, found := strings.Cut(content, "\n")
	if !found || sum != formatSum(line) {
		return fmt.Errorf("%w: %s", store.ErrDamaged, filepath.Join(dir, formatFile))
	}
	if line != formatLine {
		return fmt.Errorf("%w: %q", store.ErrFormat, line)
	}
	return nil
}

// formatSum lets a spoiled FORMAT be told from another version's.
func formatSum(line string) string {
	return fmt.Sprintf("crc32c %08x\n", crc32.Checksum([]byte(line), castagnoli))
}

// beginInit clears what an Open that did not finish left behind and marks the directory as unfinished.
func beginInit(dir string) error {
	marker, err := os.OpenFile(filepath.Join(dir, initFile), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(marker.Sync(), marker.Close(), syncDir(dir)); err != nil {
		return err
	}
	for _, name := range []string{formatFile, witnessFile, dbDir} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, dbDir), 0o700); err != nil {
		return err
	}
	return createWitness(filepath.Join(dir, witnessFile))
}

// endInit makes the directory a store.
func endInit(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, formatFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(formatLine + "\n" + formatSum(formatLine))
	if err := errors.Join(err, f.Sync(), f.Close(), syncDir(dir)); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, initFile)); err != nil {
		return err
	}
	return syncDir(dir)
}
