package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"hotaru/daemon"
	"hotaru/function"
	"hotaru/sandbox"
)

type doctorCommand struct {
	Sandbox    string   `help:"Look at one way to isolate functions: namespace, oci or process. By default all." default:"all" enum:"all,namespace,oci,process"`
	OCIRuntime string   `help:"The OCI runtime of oci, as for serve." name:"oci-runtime" env:"HOTARU_OCI_RUNTIME" placeholder:"COMMAND"`
	Egress     string   `help:"How far functions' networks are to reach, as for serve." default:"internet" enum:"internet,none" env:"HOTARU_EGRESS"`
	Require    []string `help:"Exit with status 1 if one of these is not enforced: names of the table, or all. Of each sandbox that is looked at; by default of namespace." placeholder:"NAME"`
	JSON       bool     `help:"Print JSON." name:"json"`
}

// doctorRow is one boundary or limit as --json prints it.
type doctorRow struct {
	Sandbox  string           `json:"sandbox"`
	Boundary sandbox.Boundary `json:"boundary,omitempty"`
	Enforced bool             `json:"enforced"`
	Reason   string           `json:"reason,omitempty"`
	Mend     string           `json:"mend,omitempty"`
	// Environments, of the rows of the machine alone, is for how many of them there is room.
	Environments int `json:"environments,omitempty"`
}

// enough is how many environments a machine should have room for: the executions of an AWS account.
const enough = function.DefaultConcurrency

// roomRows are the rows of the machine: what it has enough of needs no mending.
func roomRows(rooms []daemon.Room) []doctorRow {
	var rows []doctorRow
	for _, r := range rooms {
		row := doctorRow{
			Sandbox: "machine", Boundary: sandbox.Boundary(r.Of), Enforced: r.Environments >= enough, Reason: r.Why,
			Environments: r.Environments,
		}
		if !row.Enforced {
			row.Mend = r.Mend
		}
		rows = append(rows, row)
	}
	return rows
}

func printRooms(out io.Writer, rows []doctorRow) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		why := r.Reason
		if r.Mend != "" {
			why += "; for more: " + r.Mend
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\troom for %d environments\t%s\n", r.Sandbox, r.Boundary, r.Environments, why); err != nil {
			return err
		}
	}
	return w.Flush()
}

// Validate implements kong's hook.
func (c doctorCommand) Validate() error {
	for _, name := range c.Require {
		if name != "all" && !slices.Contains(sandbox.Boundaries, sandbox.Boundary(name)) {
			return fmt.Errorf("--require: %q is none of %v", name, sandbox.Boundaries)
		}
	}
	return nil
}

func (c doctorCommand) Run() error {
	if os.Geteuid() != 0 && c.Sandbox != "process" {
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		defer signal.Stop(signals)
		return rerun("", signals)
	}
	var names []string
	if c.Sandbox != "all" {
		names = []string{c.Sandbox}
	}
	surveyed, err := daemon.Survey(context.Background(), daemon.Config{
		OCIRuntime: c.OCIRuntime, Egress: c.Egress, SearchPath: filepath.SplitList(os.Getenv("PATH")),
	}, names...)
	if err != nil {
		return err
	}
	rows, rooms := doctorRows(surveyed), roomRows(daemon.Rooms(daemon.Config{}))
	if c.JSON {
		err = json.NewEncoder(os.Stdout).Encode(append(rows[:len(rows):len(rows)], rooms...))
	} else {
		err = errors.Join(printDoctor(os.Stdout, rows), printRooms(os.Stdout, rooms))
	}
	if err != nil {
		return err
	}
	return c.lacking(rows)
}

func doctorRows(surveyed []daemon.Surveyed) []doctorRow {
	var rows []doctorRow
	for _, s := range surveyed {
		if s.Err != nil {
			rows = append(rows, doctorRow{Sandbox: s.Sandbox, Reason: s.Err.Error()})
		}
		for _, b := range s.Capabilities {
			rows = append(rows, doctorRow{Sandbox: s.Sandbox, Boundary: b.Boundary, Enforced: b.Enforced, Reason: b.Reason, Mend: b.Mend})
		}
	}
	return rows
}

// lacking says what of --require is not enforced.
func (c doctorCommand) lacking(rows []doctorRow) error {
	if len(c.Require) == 0 {
		return nil
	}
	var lacks []string
	for _, r := range rows {
		looked := r.Sandbox == c.Sandbox || c.Sandbox == "all" && r.Sandbox == "namespace"
		wanted := r.Boundary == "" || slices.Contains(c.Require, "all") || slices.Contains(c.Require, string(r.Boundary))
		if looked && wanted && !r.Enforced {
			lacks = append(lacks, strings.TrimSpace(r.Sandbox+" "+string(r.Boundary)))
		}
	}
	if len(lacks) > 0 {
		return fmt.Errorf("not enforced: %s", strings.Join(lacks, ", "))
	}
	return nil
}

func printDoctor(out io.Writer, rows []doctorRow) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		what := "not enforced"
		switch {
		case r.Enforced:
			what = "enforced"
		case r.Boundary == "":
			what = "does not work"
		}
		why := r.Reason
		if r.Mend != "" {
			why += "; to mend it: " + r.Mend
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Sandbox, r.Boundary, what, why); err != nil {
			return err
		}
	}
	return w.Flush()
}
