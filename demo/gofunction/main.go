// Command gofunction is the Go function that the demonstration deploys: it greets whoever the
// event names. It must stay what a user would write, with nothing of Hotaru in it.
package main

import (
	"context"
	"fmt"

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
		fmt.Println("greeting", e.Name)
		return answer{"Hello from Go, " + e.Name}, nil
	})
}
