package main

import (
	"errors"
	"os"
	"path/filepath"

	"hotaru/daemon"
)

// path is the data directory that the flags and the user mean.
func (d dataDir) path() (string, error) {
	if d.DataDir != "" {
		return d.DataDir, nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/hotaru", nil
	}
	if xdg := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(xdg) { // the specification ignores relative ones
		return filepath.Join(xdg, "hotaru"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("no data directory: give --data-dir, or set HOME or XDG_DATA_HOME")
	}
	return filepath.Join(home, ".local", "share", "hotaru"), nil
}

// endpoint is how to reach the Hotaru of the data directory.
func (d dataDir) endpoint() (daemon.Endpoint, error) {
	dir, err := d.path()
	if err != nil {
		return daemon.Endpoint{}, err
	}
	return daemon.ReadEndpoint(dir)
}

// homes are the home directories whose version managers are searched for interpreters.
func homes() []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	return []string{home}
}
