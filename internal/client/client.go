// Package client starts a Hotaru binary and talks to it through AWS's own SDK, for the demonstration, the
// benchmark and end-to-end tests. It must not know anything that a user could not.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"hotaru/internal/sample"
)

// Server is a running Hotaru.
type Server struct {
	Endpoint Endpoint
	Lambda   *lambda.Client
	IAM      *iam.Client
	// DataDir is the server's own, removed by Stop.
	DataDir string

	binary  string
	flags   []string
	log     io.Writer
	http    *http.Client
	process *exec.Cmd
	exited  chan error
}

// Endpoint is what `hotaru env` prints.
type Endpoint struct{ URL, AccessKeyID, SecretAccessKey, Region string }

// startLimit is how long a Hotaru may take until it answers.
const startLimit = 20 * time.Second

// Launch starts a binary on a free port with a temporary data directory and waits until it serves. Its own log
// goes to log. Stop it.
func Launch(ctx context.Context, binary string, log io.Writer, flags ...string) (*Server, error) {
	dir, err := os.MkdirTemp("", "hotaru-")
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	s := &Server{DataDir: dir, binary: binary, flags: flags, log: log, http: loopback()}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// start runs the binary on the data directory and waits until it serves. On an error nothing is left running.
func (s *Server) start(ctx context.Context) error {
	args := append([]string{"serve", "--data-dir", s.DataDir, "--listen", "localhost:0"}, s.flags...)
	s.process, s.exited = exec.Command(s.binary, args...), make(chan error, 1)
	s.process.Stderr = s.log
	if err := s.process.Start(); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	go func() { s.exited <- s.process.Wait() }()
	if err := s.wait(ctx); err != nil {
		return errors.Join(err, s.end(syscall.SIGTERM))
	}
	s.http.CloseIdleConnections()
	config := s.Config()
	s.Lambda, s.IAM = lambda.NewFromConfig(config), iam.NewFromConfig(config)
	return nil
}

// Config is what the SDK's clients of this server are made from. Nothing is tried twice: what the server answers is
// what the caller sees.
func (s *Server) Config() aws.Config {
	return aws.Config{
		Region: s.Endpoint.Region, BaseEndpoint: aws.String(s.Endpoint.URL), RetryMaxAttempts: 1, HTTPClient: s.http,
		Credentials: credentials.NewStaticCredentialsProvider(s.Endpoint.AccessKeyID, s.Endpoint.SecretAccessKey, ""),
	}
}

// end signals the server and waits for it.
func (s *Server) end(signal syscall.Signal) error {
	defer s.http.CloseIdleConnections()
	err := s.process.Process.Signal(signal)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(err, <-s.exited)
}

// Crash kills the server with SIGKILL: it gets no chance to clean up.
func (s *Server) Crash() error {
	err := s.end(syscall.SIGKILL)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil // killed, as it should be
	}
	return err
}

// Terminate ends the server with SIGTERM and waits for it.
func (s *Server) Terminate() error { return s.end(syscall.SIGTERM) }

// Restart starts the server again on the same data directory.
func (s *Server) Restart(ctx context.Context) error { return s.start(ctx) }

// wait asks `hotaru env` until it knows the server's endpoint.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		out, err := exec.CommandContext(ctx, s.binary, "env", "--data-dir", s.DataDir).Output()
		if err == nil {
			s.Endpoint = parseEnv(out)
			// What is printed may be an earlier start's, which nobody listens on any more.
			err = s.dial(ctx)
		}
		if err == nil {
			return nil
		}
		select {
		case err := <-s.exited:
			s.exited <- err
			return fmt.Errorf("client: the server ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("client: the server does not answer: %w", err)
		case <-ticker.C:
		}
	}
}

func (s *Server) dial(ctx context.Context) error {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(s.Endpoint.URL, "http://"))
	if err != nil {
		return err
	}
	return connection.Close()
}

func parseEnv(out []byte) Endpoint {
	var e Endpoint
	fields := map[string]*string{
		"AWS_ENDPOINT_URL": &e.URL, "AWS_ACCESS_KEY_ID": &e.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY": &e.SecretAccessKey, "AWS_REGION": &e.Region,
	}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if field := fields[name]; field != nil {
			*field = strings.Trim(value, "'")
		}
	}
	return e
}

// PID is the server's process.
func (s *Server) PID() int { return s.process.Process.Pid }

// Stop ends the server with SIGTERM, waits for it and removes its data.
func (s *Server) Stop() error { return errors.Join(s.end(syscall.SIGTERM), os.RemoveAll(s.DataDir)) }

// Role makes an execution role that Lambda may assume and returns its ARN.
func (s *Server) Role(ctx context.Context, name string) (string, error) {
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	out, err := s.IAM.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String(name), AssumeRolePolicyDocument: aws.String(trust),
	})
	if err != nil {
		return "", fmt.Errorf("client: create role: %w", err)
	}
	return aws.ToString(out.Role.Arn), nil
}

// CreateFunction creates a function, as change changes it, and waits until it is active.
func (s *Server) CreateFunction(ctx context.Context, role string, f sample.Function, memoryMB int32,
	change ...func(*lambda.CreateFunctionInput)) error {
	in := &lambda.CreateFunctionInput{
		FunctionName: aws.String(f.Name), Runtime: types.Runtime(f.Runtime), Handler: aws.String(f.Handler),
		Role: aws.String(role), MemorySize: aws.Int32(memoryMB), Code: &types.FunctionCode{ZipFile: f.Zip},
	}
	for _, apply := range change {
		apply(in)
	}
	if _, err := s.Lambda.CreateFunction(ctx, in); err != nil {
		return fmt.Errorf("client: create function: %w", err)
	}
	waiter := lambda.NewFunctionActiveV2Waiter(s.Lambda, func(o *lambda.FunctionActiveV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 5*time.Millisecond, 100*time.Millisecond
	})
	if err := waiter.Wait(ctx, &lambda.GetFunctionInput{FunctionName: aws.String(f.Name)}, time.Minute); err != nil {
		return fmt.Errorf("client: wait for %s: %w", f.Name, err)
	}
	return nil
}

// Renew changes a function's description and waits until that is what serves: the next invoke is cold.
func (s *Server) Renew(ctx context.Context, name, description string) error {
	return s.update(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String(name), Description: aws.String(description),
	})
}

// Resize changes a function's memory, and with it its CPU share, and waits until that is what serves.
func (s *Server) Resize(ctx context.Context, name string, memoryMB int32) error {
	return s.update(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String(name), MemorySize: aws.Int32(memoryMB),
	})
}

func (s *Server) update(ctx context.Context, in *lambda.UpdateFunctionConfigurationInput) error {
	name := aws.ToString(in.FunctionName)
	if _, err := s.Lambda.UpdateFunctionConfiguration(ctx, in); err != nil {
		return fmt.Errorf("client: update %s: %w", name, err)
	}
	waiter := lambda.NewFunctionUpdatedV2Waiter(s.Lambda, func(o *lambda.FunctionUpdatedV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 2*time.Millisecond, 100*time.Millisecond
	})
	if err := waiter.Wait(ctx, &lambda.GetFunctionInput{FunctionName: in.FunctionName}, time.Minute); err != nil {
		return fmt.Errorf("client: wait for %s: %w", name, err)
	}
	return nil
}

// Runtime is one of Lambda's runtimes as the binary lists them.
type Runtime struct {
	ID       string `json:"id"`
	Language string `json:"language"`
	// Interpreter is the program that runs it, empty when it is not installed or needs none.
	Interpreter string `json:"interpreter"`
	Installed   bool   `json:"installed"`
}

// Installed asks the server's binary for an installed runtime of each language, the newest.
func (s *Server) Installed(ctx context.Context) (map[string]Runtime, error) {
	return Installed(ctx, s.binary)
}

// Installed asks a binary for an installed runtime of each language, the newest.
func Installed(ctx context.Context, binary string) (map[string]Runtime, error) {
	out, err := exec.CommandContext(ctx, binary, "runtimes", "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("client: hotaru runtimes: %w", err)
	}
	var list []Runtime
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("client: hotaru runtimes: %w", err)
	}
	newest := map[string]Runtime{}
	for _, r := range list {
		if r.Installed {
			newest[r.Language] = r
		}
	}
	return newest, nil
}

// Root is the repository's root, for commands that run anywhere below it.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("client: %w", err)
	}
	for dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		dir = filepath.Dir(dir)
	}
	return "", errors.New("client: not inside the repository")
}
