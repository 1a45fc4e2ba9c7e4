// Package e2e drives the built binary with the real AWS CLI, as a user would. It must not import the daemon:
// what it cannot reach, a user cannot either.
package e2e
