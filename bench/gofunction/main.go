// Command gofunction is the Go function that the benchmark deploys: it greets whoever the event names and does
// nothing else. It must stay what a user would write, with nothing of Hotaru in it.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

type event struct {
	Name string `json:"name"`
}

type answer struct {
	Greeting string `json:"greeting"`
}

func main() {
	lambda.Start(func(_ context.Context, e event) (answer, error) {
		return answer{"Hello from Go, " + e.Name}, nil
	})
}
