// Command demo shows Hotaru at work in a minute: it starts one on a free port with a temporary data directory,
// creates a Python, a Node.js and a Go function through the public API, invokes each cold and warm, prints
// answers, log tails and timings, and cleans up. It is a client like any other.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"hotaru/internal/client"
	"hotaru/internal/sample"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// runLimit bounds the whole run.
const runLimit = 5 * time.Minute

func run(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	began := time.Now()
	server, err := client.Launch(ctx, "bin/hotaru", os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	fmt.Printf("Hotaru serves at %s (ready in %v)\n", server.Endpoint.URL, time.Since(began).Round(time.Millisecond))

	role, err := server.Role(ctx, "demo")
	if err != nil {
		return err
	}
	installed, err := server.Installed(ctx)
	if err != nil {
		return err
	}
	functions, err := sample.Functions(ctx, installed["python"].ID, installed["nodejs"].ID, sample.Talking())
	if err != nil {
		return err
	}
	for _, f := range functions {
		if err := show(ctx, server, role, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

// show creates one function and invokes it twice.
func show(ctx context.Context, server *client.Server, role string, f sample.Function) error {
	fmt.Printf("\n== %s (%s)\n", f.Name, f.Runtime)
	began := time.Now()
	if err := server.CreateFunction(ctx, role, f, 256); err != nil {
		return err
	}
	fmt.Printf("created and active in %v\n", time.Since(began).Round(time.Millisecond))
	for _, start := range []string{"cold", "warm"} {
		began := time.Now()
		out, err := server.Lambda.Invoke(ctx, &lambda.InvokeInput{
			FunctionName: aws.String(f.Name), Payload: []byte(`{"name":"firefly"}`), LogType: types.LogTypeTail,
		})
		took := time.Since(began)
		if err != nil {
			return err
		}
		if out.FunctionError != nil {
			return fmt.Errorf("%s: %s", *out.FunctionError, out.Payload)
		}
		log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
		if err != nil {
			return err
		}
		fmt.Printf("%s start, answered in %.2f ms: %s\n", start, float64(took)/float64(time.Millisecond), out.Payload)
		for line := range strings.Lines(string(log)) {
			fmt.Print("    ", line)
		}
	}
	return nil
}
