// Package e2e drives the built binary with AWS's own clients, as a user would: the CLI, boto3 and the SDKs for Go,
// JavaScript and Java walk one scenario (clients/scenario.json) and must see the same. It must not import the daemon:
// what it cannot reach, a user cannot either.
package e2e
