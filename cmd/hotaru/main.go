// Command hotaru is AWS Lambda that you run yourself: one binary with Lambda's own API. This package reads
// the command line and the environment, and must do nothing else that another room could do.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"hotaru/sandbox/namespace/userns"
)

// version is set by the linker.
var version = "development"

// cli is the command line.
type cli struct {
	Serve    serveCommand    `cmd:"" help:"Serve Lambda's API until told to stop."`
	Env      envCommand      `cmd:"" help:"Print the shell variables that point AWS tools to this Hotaru."`
	Doctor   doctorCommand   `cmd:"" help:"Say what isolates functions on this machine, what does not, and how to mend it."`
	Logs     logsCommand     `cmd:"" help:"Print what a function has logged."`
	Bench    benchCommand    `cmd:"" help:"Measure how fast a function answers, here or at any endpoint that speaks Lambda's Invoke."`
	Runtimes runtimesCommand `cmd:"" help:"List Lambda's runtimes and which of them run on this machine."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// dataDir is the flag that every command about one installation has.
type dataDir struct {
	DataDir string `help:"Where everything is kept. Default: /var/lib/hotaru as root, else $XDG_DATA_HOME/hotaru." type:"path" env:"HOTARU_DATA_DIR" placeholder:"DIR"`
}

func main() {
	if err := errors.Join(userns.Arrive(os.Getenv(userns.Variable), program()), os.Unsetenv(userns.Variable)); err != nil {
		fmt.Fprintln(os.Stderr, "hotaru:", err)
		os.Exit(1)
	}
	var c cli
	parser := kong.Must(&c, kong.Name("hotaru"), kong.UsageOnError(),
		kong.Description("AWS Lambda that you run yourself."))
	ctx, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	err = ctx.Run()
	if status := exitStatus(0); errors.As(err, &status) {
		os.Exit(int(status))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hotaru:", err)
		os.Exit(1)
	}
}

type versionCommand struct{}

func (versionCommand) Run() error {
	_, err := fmt.Println("hotaru", version)
	return err
}
