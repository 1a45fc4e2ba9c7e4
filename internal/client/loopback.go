package client

import (
	"net/http"

	"hotaru/internal/wholebody"
)

// connectionsKept is how many idle connections to the server a client keeps: as many as a benchmark has callers.
const connectionsKept = 256

// loopback makes the HTTP client for a server on the same machine.
func loopback() *http.Client {
	return &http.Client{Transport: wholebody.Transport{RoundTripper: &http.Transport{
		MaxIdleConnsPerHost: connectionsKept, DisableCompression: true,
	}}}
}
