// Package sample makes the small functions that the demonstration, the benchmark and tests deploy. It must not
// know how they are deployed or run.
package sample

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Function is a function to create.
type Function struct {
	Name, Runtime, Handler string
	Zip                    []byte
}

// Python greets whoever the event names.
const Python = `def handler(event, context):
    print("greeting", event["name"])
    return {"greeting": "Hello from Python, " + event["name"]}
`

// Node greets whoever the event names.
const Node = `exports.handler = async (event) => {
  console.log("greeting", event.name);
  return { greeting: "Hello from Node.js, " + event.name };
};
`

// Sources are one greeting in three languages.
type Sources struct {
	Python, Node string
	// Go is a package to build with the machine's toolchain.
	Go string
}

// Talking greet whoever the event names, and print a line about it.
func Talking() Sources { return Sources{Python, Node, "./demo/gofunction"} }

// Silent greet whoever the event names, and do nothing else: the least that a function can do.
func Silent() Sources {
	return Sources{
		Python: `def handler(event, context):
    return {"greeting": "Hello from Python, " + event["name"]}
`,
		Node: "exports.handler = async (event) => ({ greeting: \"Hello from Node.js, \" + event.name });\n",
		Go:   "./bench/gofunction",
	}
}

// Functions makes a function of each source. python and node are runtime identifiers.
func Functions(ctx context.Context, python, node string, sources Sources) ([]Function, error) {
	pythonZip, err := Zip(map[string]string{"app.py": sources.Python})
	if err != nil {
		return nil, err
	}
	nodeZip, err := Zip(map[string]string{"index.js": sources.Node})
	if err != nil {
		return nil, err
	}
	goZip, err := BuildGo(ctx, sources.Go)
	if err != nil {
		return nil, err
	}
	return []Function{
		{"hello-python", python, "app.handler", pythonZip},
		{"hello-node", node, "index.handler", nodeZip},
		{"hello-go", "provided.al2023", "bootstrap", goZip},
	}, nil
}

// Zip makes a deployment package of text files; a file named bootstrap is executable.
func Zip(files map[string]string) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(0o644)
		if filepath.Base(name) == "bootstrap" {
			header.SetMode(0o755)
		}
		f, err := w.CreateHeader(header)
		if err != nil {
			return nil, fmt.Errorf("sample: %w", err)
		}
		if _, err := strings.NewReader(files[name]).WriteTo(f); err != nil {
			return nil, fmt.Errorf("sample: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("sample: %w", err)
	}
	return b.Bytes(), nil
}

// BuildGo builds a Go package into a static bootstrap and zips it.
func BuildGo(ctx context.Context, goPackage string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "hotaru-sample-")
	if err != nil {
		return nil, fmt.Errorf("sample: %w", err)
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "bootstrap")
	build := exec.CommandContext(ctx, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-tags", "lambda.norpc",
		"-ldflags", "-s -w", "-o", binary, goPackage)
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("sample: go build %s: %w\n%s", goPackage, err, out)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("sample: %w", err)
	}
	return Zip(map[string]string{"bootstrap": string(text)})
}

// Extract writes one file of a deployment package to path, executable.
func Extract(pack []byte, name, path string) error {
	r, err := zip.NewReader(bytes.NewReader(pack), int64(len(pack)))
	if err != nil {
		return fmt.Errorf("sample: %w", err)
	}
	f, err := r.Open(name)
	if err != nil {
		return fmt.Errorf("sample: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("sample: %w", err)
	}
	if err := os.WriteFile(path, text, 0o755); err != nil {
		return fmt.Errorf("sample: %w", err)
	}
	return nil
}
