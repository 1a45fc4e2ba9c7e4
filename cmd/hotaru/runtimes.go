package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"hotaru/runtime"
)

type runtimesCommand struct {
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
	Warning     string           `json:"warning,omitempty"`
	Reason      string           `json:"reason,omitempty"`
}

func (c runtimesCommand) Run() error {
	state, err := os.MkdirTemp("", "hotaru-runtimes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	catalog := &runtime.Catalog{
		Search:   runtime.Search{Path: filepath.SplitList(os.Getenv("PATH")), Homes: homes()},
		StateDir: state, Nearest: c.Nearest,
	}
	var rows []runtimeRow
	for _, s := range catalog.List(context.Background()) {
		row := runtimeRow{ID: s.ID, Language: s.Language, Installed: s.Err == nil, Warning: s.Warning}
		if s.Err != nil {
			row.Reason = s.Err.Error()
		}
		if s.Interpreter != nil {
			row.Interpreter, row.Version = s.Interpreter.Path, s.Interpreter.Version
		}
		rows = append(rows, row)
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(rows)
	}
	return printRuntimes(rows)
}

func printRuntimes(rows []runtimeRow) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
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
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", r.ID, here, how); err != nil {
			return err
		}
	}
	return w.Flush()
}
