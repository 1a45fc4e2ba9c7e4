package runtimeapitest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// HTTP is a runtime that uses the HTTP Runtime API.
type HTTP struct {
	// Address is the listener's, host:port.
	Address string
	Client  *http.Client
}

// NewHTTP returns a runtime with a connection of its own.
func NewHTTP(address string) *HTTP {
	return &HTTP{Address: address, Client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}}
}

// Do sends one request below /2018-06-01/runtime/ and returns the whole answer. headers are names and values
// in turn.
func (h *HTTP) Do(method, path string, body []byte, headers ...string) (status int, answer string, header http.Header, err error) {
	request, err := http.NewRequest(method, "http://"+h.Address+"/2018-06-01/runtime/"+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := h.Client.Do(request)
	if err != nil {
		return 0, "", nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), response.Header, err
}

// Next asks for an event.
func (h *HTTP) Next() (id, payload string, header http.Header, err error) {
	status, payload, header, err := h.Do(http.MethodGet, "invocation/next", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("next: %d %s", status, payload)
	}
	return header.Get("Lambda-Runtime-Aws-Request-Id"), payload, header, err
}

// Close closes idle connections.
func (h *HTTP) Close() { h.Client.CloseIdleConnections() }
