package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"hotaru/internal/load"
)

// againstOptions say what is measured instead of a Hotaru of this tree.
type againstOptions struct {
	url, function, payload string
}

func (a *againstOptions) flags() {
	flag.StringVar(&a.url, "against", "", "send the warm load to this endpoint instead, http://HOST:PORT, signed if AWS_ACCESS_KEY_ID is set")
	flag.StringVar(&a.function, "function", "function", "the function to invoke there; the default is the Runtime Interface Emulator's name for its only one")
	flag.StringVar(&a.payload, "payload", greeting, "the event to send there")
}

// measureAgainst sends the load of the warm rows to an endpoint.
func measureAgainst(ctx context.Context, o options, report *Report) error {
	target := &load.Target{
		URL: o.against.url, Function: o.against.function, Payload: []byte(o.against.payload),
		Credentials: load.Credentials(os.Getenv), Region: load.Region(os.Getenv),
	}
	took, err := oneByOne(ctx, target, o.warm)
	if err != nil {
		return fmt.Errorf("one client: %w", err)
	}
	report.add("warm", []Row{summarize(took).row("warm invoke, 1 client", &Target{Most: 0.3, MostP99: 1})}, nil)
	row, err := throughput(ctx, target, o)
	row.Figure, row.Target = fmt.Sprintf("warm throughput, %d clients", o.clients), &Target{Least: 8000}
	if err != nil {
		return fmt.Errorf("many clients: %w", err)
	}
	report.add("throughput", []Row{row}, nil)
	return nil
}
