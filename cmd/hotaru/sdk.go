package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"hotaru/daemon"
	"hotaru/runtime"
	"hotaru/runtime/sdk"
)

// sdkCommand installs AWS's SDKs into the data directory, by pip and npm.
type sdkCommand struct {
	dataDir
	Runtime []string `arg:"" optional:"" help:"Runtimes to install it for: python3.13, nodejs22.x. By default all that run on this machine."`
	Client  []string `help:"A client of Node.js's SDK, instead of the usual ones: NAME for @aws-sdk/client-NAME, or a package, PACKAGE[@VERSION]; repeatable." placeholder:"NAME"`
	Package []string `help:"A package of Python's instead of boto3, NAME[==VERSION]; repeatable." placeholder:"NAME"`
	From    string   `help:"Take it from a directory or zip file instead of the network: what pip install --target or npm install --prefix made, or a layer with it." type:"path" placeholder:"PATH"`
	Remove  bool     `help:"Remove it instead."`
}

// Validate implements kong's hook.
func (c sdkCommand) Validate() error {
	_, err := c.nodePackages("20")
	switch {
	case c.From != "" && len(c.Runtime) == 0:
		return errors.New("--from goes with the runtimes that it is for")
	case c.From != "" && len(c.Client)+len(c.Package) > 0:
		return errors.New("--from takes what is there: --client and --package have no place beside it")
	case c.Remove && (c.From != "" || len(c.Client)+len(c.Package) > 0):
		return errors.New("--remove installs nothing")
	case err != nil:
		return err
	}
	return sdk.CheckPythonPackages(c.Package)
}

// nodePackages are what npm is asked for, for a version of Node.js.
func (c sdkCommand) nodePackages(version string) ([]string, error) {
	clients := c.Client
	if len(clients) == 0 {
		clients = sdk.Clients(version)
	}
	packages := make([]string, 0, len(clients))
	for _, client := range clients {
		name, err := sdk.NodePackage(client)
		if err != nil {
			return nil, err
		}
		packages = append(packages, name)
	}
	return packages, nil
}

func (c sdkCommand) pythonPackages() []string {
	if len(c.Package) == 0 {
		return []string{"boto3"}
	}
	return c.Package
}

func (c sdkCommand) Run() error {
	dir, err := c.path()
	if err != nil {
		return err
	}
	all, err := survey(false)
	if err != nil {
		return err
	}
	interpreters, err := chosen(all, c.Runtime)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return c.install(ctx, os.Stdout, daemon.SDKs(dir), interpreters)
}

// install does what is asked for with each interpreter, and says so.
func (c sdkCommand) install(ctx context.Context, out io.Writer, sdks sdk.Store, interpreters []*runtime.Interpreter) error {
	for _, in := range interpreters {
		said := "removed"
		if c.Remove {
			if err := sdks.Remove(in.SDK()); err != nil {
				return err
			}
		} else {
			fill, err := c.fill(in)
			if err != nil {
				return err
			}
			installed, err := sdks.Install(ctx, in.SDK(), fill)
			if err != nil {
				return fmt.Errorf("%s: %w", in.SDK(), err)
			}
			said = installed.Summary()
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", in.SDK(), said); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, "Functions see it when Hotaru has been started again.")
	return err
}

// fill gets an interpreter's SDK.
func (c sdkCommand) fill(in *runtime.Interpreter) (sdk.Fill, error) {
	fetcher := sdk.Fetcher{Program: in.Path, Path: filepath.SplitList(os.Getenv("PATH")), Env: os.Environ()}
	switch {
	case c.From != "":
		return fetcher.From(string(in.Language), c.From), nil
	case in.Language == runtime.Python:
		return fetcher.Python(c.pythonPackages()), nil
	default:
		packages, err := c.nodePackages(in.Version)
		return fetcher.NodeJS(packages), err
	}
}

// chosen are the interpreters of runtimes that have an SDK on Lambda, each once: of those named, or of all there are.
func chosen(all []runtime.Status, ids []string) ([]*runtime.Interpreter, error) {
	for _, id := range ids {
		i := slices.IndexFunc(all, func(s runtime.Status) bool { return s.ID == id })
		switch {
		case i < 0:
			return nil, fmt.Errorf("%s is no runtime of Lambda's", id)
		case !hasSDK(all[i]):
			return nil, fmt.Errorf("%s has no SDK on Lambda: functions bring theirs along", id)
		case all[i].Err != nil:
			return nil, all[i].Err
		}
	}
	var interpreters []*runtime.Interpreter
	seen := map[string]bool{}
	for _, s := range all {
		if s.Interpreter == nil || !hasSDK(s) || seen[s.Interpreter.SDK()] || len(ids) > 0 && !slices.Contains(ids, s.ID) {
			continue
		}
		seen[s.Interpreter.SDK()] = true
		interpreters = append(interpreters, s.Interpreter)
	}
	if len(interpreters) == 0 {
		return nil, errors.New("this machine has neither a Python nor a Node.js of Lambda's: hotaru runtimes says what to install")
	}
	return interpreters, nil
}

func hasSDK(s runtime.Status) bool {
	return s.Language == runtime.Python || s.Language == runtime.NodeJS
}
