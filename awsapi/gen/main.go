// Command gen writes the Go packages of AWS's service models: types, enum values, the service's descriptor and the
// struct of handlers. It carries facts over (names, constraints, routes), never the models' prose, and its output
// depends on nothing but the models. It must not know what any operation does.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// services are the packages to generate.
var services = []string{"iam", "lambda", "logs", "sts"}

func main() {
	models := flag.String("models", "", "directory of service models (botocore's data directory)")
	root := flag.String("root", "..", "the repository's root")
	flag.Parse()
	if err := run(*models, *root); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(models, root string) error {
	dir, err := modelsDir(models, root)
	if err != nil {
		return err
	}
	api := filepath.Join(root, "awsapi")
	for _, name := range services {
		m, err := loadModel(dir, filepath.Join(api, "gen", "supplement"), name)
		if err != nil {
			return err
		}
		files, err := generate(name, m)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(api, name, file), text, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
