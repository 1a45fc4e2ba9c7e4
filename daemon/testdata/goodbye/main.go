// Command goodbye is a function that says goodbye when its environment ends, with AWS's own means: an internal
// extension.
package main

import (
	"fmt"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	answer := func() (bool, error) { return true, nil }
	lambda.StartWithOptions(answer, lambda.WithEnableSIGTERM(func() { fmt.Println("goodbye") }))
}
