// Command compatdoc writes docs/compat.md from the handlers that are built and the tests that show them. It must
// not know what an operation does.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"hotaru/awsapi/compat"
	"hotaru/control"
	"hotaru/internal/client"
	"hotaru/services/iam"
	"hotaru/services/logs"
	"hotaru/services/sts"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "compatdoc:", err)
		os.Exit(1)
	}
}

func run() error {
	root, err := client.Root()
	if err != nil {
		return err
	}
	sections := []compat.Section{
		{Binding: (&control.Lambda{}).Handlers().Binding(), Shown: lambdaTests},
		{Binding: (&iam.Service{}).Handlers().Binding(), Shown: iamTests},
		{Binding: (&sts.Service{}).Handlers().Binding(), Shown: stsTests},
		{Binding: (&logs.Service{}).Handlers().Binding(), Shown: logsTests},
	}
	for _, s := range sections {
		for operation, test := range s.Shown {
			if err := exists(root, test); err != nil {
				return fmt.Errorf("%s: %w", operation, err)
			}
		}
	}
	page, err := compat.Page(sections...)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "docs", "compat.md"), []byte(page), 0o644)
}

// exists says whether a test named "room.TestName" is in the tree.
func exists(root, test string) error {
	room, name, ok := strings.Cut(test, ".")
	if !ok {
		return fmt.Errorf("%q is not room.TestName", test)
	}
	files, err := filepath.Glob(filepath.Join(root, room, "*_test.go"))
	if err != nil {
		return err
	}
	declaration := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if declaration.Match(text) {
			return nil
		}
	}
	return errors.New("there is no test " + test)
}
