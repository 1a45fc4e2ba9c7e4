package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	crdb "github.com/cockroachdb/pebble/v2"

	"hotaru/store"
)

// failure is the first error after which the engine can no longer be trusted to write.
type failure struct {
	once sync.Once
	err  atomic.Pointer[error]
}

func (f *failure) set(err error) {
	f.once.Do(func() { f.err.Store(&err) })
}

func (f *failure) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// logger takes pebble's own words. Pebble would end the process on a fatal error; here it makes every later
// call of the engine fail instead, and the daemon decides.
type logger struct {
	log    *slog.Logger
	failed *failure
}

func (l logger) Infof(format string, args ...any) {
	l.log.Debug(fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Warn(fmt.Sprintf(format, args...))
}

func (l logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("store: the engine has failed: "+format, args...)
	l.failed.set(err)
	l.log.Error("the store's engine has failed; nothing more is written", "cause", err)
}

// events logs what an operator must see. The listener pebble would make itself ends the process on damage
// that a read finds; here the read answers ErrDamaged.
func events(log *slog.Logger) *crdb.EventListener {
	return &crdb.EventListener{
		BackgroundError: func(err error) { log.Error("store: background work failed", "cause", err) },
		DataCorruption: func(info crdb.DataCorruptionInfo) {
			log.Error("store: damaged", "file", info.Path, "cause", info.Details)
		},
		WriteStallBegin: func(info crdb.WriteStallBeginInfo) {
			log.Warn("store: writes wait for the disk", "reason", info.Reason)
		},
	}
}

// explain gives pebble's errors the store's names.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, crdb.ErrNotFound):
		return store.ErrNotFound
	case crdb.IsCorruptionError(err):
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	default:
		return err
	}
}
