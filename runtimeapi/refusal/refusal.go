// Package refusal writes the small JSON answers of the APIs inside an execution environment, in the form that Lambda
// gives them. It must not know what is refused.
package refusal

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Write answers with an error: {"errorMessage":"...","errorType":"..."}.
func Write(w http.ResponseWriter, status int, kind, message string) {
	body, err := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{message, kind})
	if err != nil {
		panic(err) // two strings always marshal
	}
	Reply(w, status, append(body, '\n'))
}

// Accepted answers 202 {"status":"OK"}.
func Accepted(w http.ResponseWriter) { Reply(w, http.StatusAccepted, []byte(`{"status":"OK"}`+"\n")) }

// Reply answers with a whole body of JSON.
func Reply(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever hangs up does not want to know
}
