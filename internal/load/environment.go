package load

import (
	"cmp"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Credentials are those that AWS tools take from environment variables, as getenv has them; none if there is no key.
func Credentials(getenv func(string) string) aws.Credentials {
	key := getenv("AWS_ACCESS_KEY_ID")
	if key == "" {
		return aws.Credentials{}
	}
	return aws.Credentials{AccessKeyID: key, SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: getenv("AWS_SESSION_TOKEN")}
}

// Region is the one that AWS tools take from environment variables, as getenv has them, or us-east-1.
func Region(getenv func(string) string) string {
	return cmp.Or(getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION"), "us-east-1")
}
