// Command extension is an external extension to deploy in tests: it subscribes to what the platform tells, prints the
// type of each record, and asks for its next event only once it has heard that the runtime is done, as collectors of
// telemetry do. It uses AWS's documented APIs alone.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

const address = "sandbox.localdomain:4243"

// send sends a request and waits for its answer as long as it takes: an extension is frozen between events.
func send(request *http.Request) *http.Response {
	response, err := new(http.Client).Do(request)
	check(err)
	return response
}

// record is the part of a record that is of interest.
type record struct {
	Type   string
	Record json.RawMessage
}

func main() {
	faulty := os.Getenv("EXTENSION_FAULT")
	if once(faulty, "exit at Init") {
		os.Exit(3)
	}
	id := register()
	schema := os.Getenv("TELEMETRY_SCHEMA")
	heard := make(chan record, 1000)
	subscribe(id, schema, os.Getenv("TELEMETRY_PROTOCOL") == "TCP", heard)
	// What says that an event has come as far as can be waited for: the oldest schema has no runtimeDone.
	mark := "platform.runtimeDone"
	if schema == "2020-08-15" {
		mark = "platform.start"
	}
	for {
		var event struct{ EventType, RequestID, ShutdownReason string }
		check(json.Unmarshal(call(http.MethodGet, "2020-01-01/extension/event/next", nil, id), &event))
		switch {
		case event.EventType == "SHUTDOWN":
			fmt.Println("extension: shutdown", event.ShutdownReason)
			if faulty == "ignore SHUTDOWN" {
				select {}
			}
			return
		case once(faulty, "exit at Invoke"):
			os.Exit(6)
		case once(faulty, "hang at Invoke"):
			select {}
		}
		for r := range heard {
			if r.Type == mark && strings.Contains(string(r.Record), event.RequestID) {
				break
			}
		}
	}
}

// once says whether it is time for a fault: each sandbox has it once, which /tmp remembers.
func once(faulty, fault string) bool {
	if faulty != fault {
		return false
	}
	f, err := os.OpenFile("/tmp/extension-fault", os.O_CREATE|os.O_EXCL, 0o600)
	return err == nil && f.Close() == nil
}

// register returns the extension's identifier.
func register() string {
	request, err := http.NewRequest(http.MethodPost, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2020-01-01/extension/register",
		strings.NewReader(`{"events":["INVOKE","SHUTDOWN"]}`))
	check(err)
	request.Header.Set("Lambda-Extension-Name", filepath.Base(os.Args[0]))
	request.Header.Set("Lambda-Extension-Accept-Feature", "accountId")
	response := send(request)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	check(err)
	fmt.Printf("extension: registered %s", body)
	return response.Header.Get("Lambda-Extension-Identifier")
}

// subscribe listens for records, and says where.
func subscribe(id, schema string, tcp bool, heard chan<- record) {
	listener, err := net.Listen("tcp", address)
	check(err)
	destination := `{"protocol":"HTTP","URI":"http://` + address + `/telemetry"}`
	if tcp {
		destination = `{"protocol":"TCP","port":4243}`
		go serveTCP(listener, heard)
	} else {
		server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { take(r.Body, heard) })}
		go func() { check(server.Serve(listener)) }()
	}
	path := "2022-07-01/telemetry"
	if schema < "2022" {
		path = "2020-08-15/logs"
	}
	status, answer := ask(http.MethodPut, path, fmt.Appendf(nil,
		`{"schemaVersion":%q,"types":["platform"],"buffering":{"maxItems":1000,"maxBytes":262144,"timeoutMs":25},"destination":%s}`,
		schema, destination), id)
	// A runtime that ends at once ends Init, and with it the time to subscribe. Its extensions still hear of the end.
	if status == http.StatusForbidden {
		fmt.Printf("extension: too late to subscribe: %s\n", answer)
		return
	}
	checkStatus(path, status, answer)
}

func serveTCP(listener net.Listener, heard chan<- record) {
	for {
		conn, err := listener.Accept()
		check(err)
		go func() {
			defer conn.Close()
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				take(bytes.NewReader(append(append([]byte("["), lines.Bytes()...), ']')), heard)
			}
		}()
	}
}

func take(body io.Reader, heard chan<- record) {
	var batch []record
	check(json.NewDecoder(body).Decode(&batch))
	for _, r := range batch {
		fmt.Println("extension: heard", r.Type, string(r.Record))
		heard <- r
	}
}

// call asks the Extensions API or the Telemetry API, which must answer.
func call(method, path string, body []byte, id string) []byte {
	status, answer := ask(method, path, body, id)
	checkStatus(path, status, answer)
	return answer
}

func ask(method, path string, body []byte, id string) (status int, answer []byte) {
	request, err := http.NewRequest(method, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/"+path, bytes.NewReader(body))
	check(err)
	request.Header.Set("Lambda-Extension-Identifier", id)
	response := send(request)
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	check(err)
	return response.StatusCode, answer
}

func checkStatus(path string, status int, answer []byte) {
	if status != http.StatusOK {
		check(fmt.Errorf("%s: status %d: %s", path, status, answer))
	}
}

func check(err error) {
	if err != nil {
		fmt.Println("extension:", err)
		os.Exit(99)
	}
}
