package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

type envCommand struct {
	dataDir
	HTTPS  bool   `help:"Point to the HTTPS endpoint, and AWS_CA_BUNDLE to the certificate authority of this installation. AWS tools then trust it alone." name:"https"`
	CAFile string `help:"With --https: copy the authority's certificate to this file and point AWS_CA_BUNDLE there, for users who cannot read the data directory." name:"ca-file" type:"path" placeholder:"FILE"`
}

// Validate implements kong's hook.
func (c envCommand) Validate() error {
	if c.CAFile != "" && !c.HTTPS {
		return errors.New("--ca-file goes with --https")
	}
	return nil
}

func (c envCommand) Run() error { return c.print(os.Stdout) }

func (c envCommand) print(w io.Writer) error {
	e, err := c.endpoint()
	if err != nil {
		return err
	}
	variables := e.Variables()
	if c.HTTPS {
		if c.CAFile != "" {
			if err := publish(e.CAFile, c.CAFile); err != nil {
				return fmt.Errorf("copy the certificate authority: %w", err)
			}
			e.CAFile = c.CAFile
		}
		if variables, err = e.SecureVariables(); err != nil {
			return err
		}
	}
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		if _, err := fmt.Fprintln(w, "export "+name+"="+shellWord(value)); err != nil {
			return err
		}
	}
	return nil
}

// publish copies a file so that everybody can read it, whole or not at all. A link at the target is replaced, not
// followed.
func publish(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".hotaru-ca-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), to)
}

// shellWord writes a text so that a shell reads it as one word and nothing else.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/:._-+=@%,", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
