package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// starts is how often the daemon is started, each time with a new data directory and then again with the same.
const starts = 10

// measureStart starts daemons and looks at the memory of idle ones.
func measureStart(ctx context.Context, b *bed) ([]Row, error) {
	var first, again []time.Duration
	var idle memory
	for i := range starts {
		dir := filepath.Join(b.dir, fmt.Sprint("data-", i))
		for _, times := range []*[]time.Duration{&first, &again} {
			d, err := startDaemon(ctx, dir)
			if err != nil {
				return nil, err
			}
			*times = append(*times, d.took)
			if i == 0 && times == &again {
				idle, err = d.idleMemory(ctx)
			}
			if err := errors.Join(err, d.stop()); err != nil {
				return nil, err
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	target := &Target{Most: 100}
	restart := summarize(again).row("ready after serve, on a data directory in use", target)
	fresh := summarize(first).row("ready after serve, on a new data directory", target)
	return []Row{restart, fresh, {
		Figure: "memory of the idle daemon without zygotes", Unit: "MiB", N: 1, Value: mebibytes(idle.resident), Target: &Target{Most: 50},
		Detail: fmt.Sprintf("resident, with its own processes; %s private", figure(mebibytes(idle.private), "MiB")),
	}}, nil
}

// daemonProcess is a daemon that answers.
type daemonProcess struct {
	cmd  *exec.Cmd
	took time.Duration
}

// readyLimit is how long a daemon may take to answer.
const readyLimit = 20 * time.Second

// startDaemon starts a daemon and says how long it took until it had answered a request, whatever it answered.
func startDaemon(ctx context.Context, dir string) (*daemonProcess, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	d := &daemonProcess{cmd: exec.Command(binary, "serve", "--data-dir", dir, "--listen", address)}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	began := time.Now()
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			return nil, errors.Join(err, d.stop())
		}
		answer, err := transport.RoundTrip(request)
		if err == nil {
			d.took = time.Since(began)
			_, err = io.Copy(io.Discard, answer.Body)
			return d, errors.Join(err, answer.Body.Close())
		}
		if ended := pause(ctx, time.Millisecond); ended != nil {
			return nil, errors.Join(err, ended, d.stop())
		}
	}
}

func (d *daemonProcess) stop() error {
	return errors.Join(d.cmd.Process.Signal(syscall.SIGTERM), d.cmd.Wait())
}

// idleMemory is the memory of the daemon and its processes after a while.
func (d *daemonProcess) idleMemory(ctx context.Context) (memory, error) {
	if err := pause(ctx, calm); err != nil {
		return memory{}, err
	}
	members, err := family(d.cmd.Process.Pid)
	if err != nil {
		return memory{}, err
	}
	var sum memory
	for pid := range members {
		m, err := memoryOf(pid)
		if err != nil {
			return memory{}, err
		}
		sum = sum.plus(m)
	}
	return sum, nil
}
