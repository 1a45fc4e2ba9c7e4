package main

import (
	"fmt"
	"os"

	"hotaru/sandbox/namespace/userns"
)

// exitStatus is the end of a program that has said itself why.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// program is how this one was started.
func program() userns.Program {
	return userns.Program{Args: os.Args, Env: os.Environ(), Files: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}}
}

// rerun does the same as root of a user namespace, for an ordinary user. dir is the data directory that this user means,
// because root would mean another; "" where there is none.
func rerun(dir string, signals <-chan os.Signal) error {
	again := program()
	if dir != "" {
		again.Env = append(again.Env, "HOTARU_DATA_DIR="+dir)
	}
	status, err := userns.Rerun(again, signals)
	if err != nil {
		return fmt.Errorf("%w\nTo isolate functions takes root, or user namespaces for ordinary users (sysctl "+
			"user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns). "+
			"With --sandbox=process nothing is isolated", err)
	}
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}
