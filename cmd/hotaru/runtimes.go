package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"hotaru/daemon"
	"hotaru/runtime"
	"hotaru/runtime/sdk"
)

type runtimesCommand struct {
	List listRuntimesCommand `cmd:"" default:"withargs" help:"List Lambda's runtimes, which of them run on this machine, and which have AWS's SDK."`
	SDK  sdkCommand          `cmd:"" name:"sdk" help:"Install AWS's SDK, which Lambda's Python and Node.js have, for the interpreters of this machine."`
}

type listRuntimesCommand struct {
	dataDir
	Nearest bool `help:"Show what --runtimes=nearest would run."`
	JSON    bool `help:"Print JSON." name:"json"`
}

// runtimeRow is one runtime as --json prints it.
type runtimeRow struct {
	ID          string           `json:"id"`
	Language    runtime.Language `json:"language"`
	Installed   bool             `json:"installed"`
	Interpreter string           `json:"interpreter,omitempty"`
	Version     string           `json:"version,omitempty"`
	// SDK is AWS's SDK, in a few words.
	SDK     string `json:"sdk,omitempty"`
	Warning string `json:"warning,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// survey looks for the runtimes of this machine.
func survey(nearest bool) ([]runtime.Status, error) {
	state, err := os.MkdirTemp("", "hotaru-runtimes-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(state)
	catalog := &runtime.Catalog{
		Search:   runtime.Search{Path: filepath.SplitList(os.Getenv("PATH")), Homes: homes()},
		StateDir: state, Nearest: nearest,
	}
	return catalog.List(context.Background()), nil
}

func (c listRuntimesCommand) Run() error {
	all, err := survey(c.Nearest)
	if err != nil {
		return err
	}
	var sdks sdk.Store
	if dir, err := c.path(); err == nil { // else there is no installation to have any
		sdks = daemon.SDKs(dir)
	}
	rows, err := runtimeRows(all, sdks)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(rows)
	}
	return printRuntimes(rows)
}

func runtimeRows(all []runtime.Status, sdks sdk.Store) ([]runtimeRow, error) {
	var rows []runtimeRow
	for _, s := range all {
		row := runtimeRow{ID: s.ID, Language: s.Language, Installed: s.Err == nil, Warning: s.Warning}
		if s.Err != nil {
			row.Reason = s.Err.Error()
		}
		if s.Interpreter != nil {
			row.Interpreter, row.Version = s.Interpreter.Path, s.Interpreter.Version
			installed, err := sdks.Installed(s.Interpreter.SDK())
			if err != nil {
				return nil, err
			}
			if installed != nil {
				row.SDK = installed.Summary()
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func printRuntimes(rows []runtimeRow) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	lacking := false
	for _, r := range rows {
		how := r.Reason
		switch {
		case r.Warning != "":
			how = "warning: " + r.Warning + " (" + r.Interpreter + ")"
		case r.Interpreter != "":
			how = r.Interpreter + " (" + r.Version + ")"
		case r.Installed:
			how = "brings its own program"
		}
		here := "no "
		if r.Installed {
			here = "yes"
		}
		switch {
		case r.SDK != "":
			how += ", " + r.SDK
		case r.Interpreter != "":
			lacking = true
			how += ", without AWS's SDK"
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", r.ID, here, how); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil || !lacking {
		return err
	}
	_, err := fmt.Println("\nhotaru runtimes sdk installs AWS's SDK where it is missing.")
	return err
}
