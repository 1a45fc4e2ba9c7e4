package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// cli walks the scenario with the AWS CLI, of either version.
type cli struct {
	*errand
	dir string
}

func runCLI(ctx context.Context, e *errand) ([]seen, error) {
	dir, err := os.MkdirTemp("", "hotaru-e2e-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var list []seen
	for _, s := range e.Steps {
		saw, err := (cli{e, dir}).walk(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Step, err)
		}
		saw.Step = s.Step
		list = append(list, saw)
	}
	return list, nil
}

var capital = regexp.MustCompile(`(.)([A-Z])`)

// kebab is how the CLI calls what the API calls name: FunctionActiveV2 is function-active-v2.
func kebab(name string) string {
	return strings.ToLower(capital.ReplaceAllString(name, "$1-$2"))
}

func (c cli) walk(ctx context.Context, s step) (seen, error) {
	service, name := s.target()
	args := []string{service, kebab(name)}
	answer := filepath.Join(c.dir, "answer")
	switch {
	case s.Wait != "":
		args = []string{service, "wait", kebab(name)}
	case s.Pages != "":
		args = append(args, "--page-size", strconv.Itoa(s.Size))
	default:
		args = append(args, "--no-paginate")
	}
	more, err := c.arguments(s.Input)
	if err != nil {
		return seen{}, err
	}
	args = append(append(args, more...), "--output", "json")
	if name == "Invoke" {
		args = append(args, answer)
	}
	if s.As == "nobody" {
		args = append(args, "--no-sign-request")
	}
	out, refusal, err := c.aws(ctx, s.As, args...)
	switch {
	case err != nil:
		return seen{}, err
	case refusal != nil:
		return seen{Error: refusal}, nil
	case s.Wait != "":
		return seen{Done: true}, nil
	case s.Pages != "":
		return seen{Pages: []any{out}}, nil
	}
	if name == "Invoke" {
		payload, err := os.ReadFile(answer)
		if err != nil {
			return seen{}, err
		}
		out["Payload"] = string(payload)
	}
	return seen{Output: out}, nil
}

// arguments says an input in the CLI's ways: texts as arguments, blobs as files, and the rest as JSON.
func (c cli) arguments(input map[string]any) ([]string, error) {
	input = maps.Clone(input)
	if code, ok := input["Code"].(map[string]any); ok {
		delete(input, "Code")
		input["ZipFile"] = code["ZipFile"]
	}
	var args []string
	for name, value := range input {
		argument := "--" + kebab(name)
		if text, ok := value.(string); ok {
			args = append(args, argument, text)
		} else if content, ok := bytesOf(value); ok {
			file := filepath.Join(c.dir, name)
			if err := os.WriteFile(file, content, 0o600); err != nil {
				return nil, err
			}
			args = append(args, argument, "fileb://"+file)
		} else {
			continue
		}
		delete(input, name)
	}
	if len(input) == 0 {
		return args, nil
	}
	text, err := json.Marshal(input)
	return append(args, "--cli-input-json", string(text)), err
}

var said = regexp.MustCompile(`(?s)An error occurred \(([^)]*)\) when calling the \w+ operation: (.*)`)

// aws runs the CLI and returns what it printed, or the refusal that it told.
func (c cli) aws(ctx context.Context, who string, args ...string) (map[string]any, *refusal, error) {
	if who == "" {
		who = "root"
	}
	cmd := exec.CommandContext(ctx, "aws", args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true",
		"PYTHONIOENCODING=utf-8", "AWS_ENDPOINT_URL=" + c.Endpoint, "AWS_REGION=" + c.Region, "AWS_DEFAULT_REGION=" + c.Region,
		"AWS_ACCESS_KEY_ID=" + c.Credentials[who][0], "AWS_SECRET_ACCESS_KEY=" + c.Credentials[who][1],
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if m := said.FindStringSubmatch(stderr.String()); m != nil {
			return nil, &refusal{m[1], strings.TrimSuffix(m[2], "\n")}, nil
		}
		return nil, nil, errors.Join(err, errors.New(stderr.String()))
	}
	if stdout.Len() == 0 {
		return map[string]any{}, nil, nil
	}
	var out map[string]any
	err := json.Unmarshal(stdout.Bytes(), &out)
	return out, nil, err
}

// narrowToCLI leaves out what the CLI does not show: statuses, and where one page ends and the next begins.
func narrowToCLI(list []seen) []seen {
	for i := range list {
		list[i].Status = 0
		if len(list[i].Pages) == 0 {
			continue
		}
		merged := map[string]any{}
		for _, page := range list[i].Pages {
			for name, value := range page.(map[string]any) {
				if items, ok := value.([]any); ok {
					before, _ := merged[name].([]any)
					merged[name] = append(before, items...)
				}
			}
		}
		list[i].Pages = []any{merged}
	}
	return list
}
