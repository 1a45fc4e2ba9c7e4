package sts_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/sts"

	"hotaru/awsapi"
	"hotaru/awsapi/server"
	"hotaru/awsapi/sigv4"
	"hotaru/services/sts"
)

func TestGetCallerIdentity(t *testing.T) {
	who := awsapi.Identity{
		Account: "123456789012", ARN: "arn:aws:sts::123456789012:assumed-role/worker/session", UserID: "AROAXXXXXXXXXXXXXXXXX:session",
	}
	verifier := sigv4.NewVerifier(sigv4.Options{Credentials: func(_ context.Context, accessKeyID, _ string) ([]byte, awsapi.Identity, error) {
		if accessKeyID != "AKIDEXAMPLE" {
			return nil, awsapi.Identity{}, sigv4.ErrUnknownKey
		}
		return []byte("secret"), who, nil
	}})
	s, err := server.New(server.Options{Authenticator: verifier}, (&sts.Service{}).Handlers().Binding())
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	defer front.Close()
	ask := func(accessKeyID string) (*client.GetCallerIdentityOutput, error) {
		return client.New(client.Options{
			BaseEndpoint: &front.URL, Region: "us-east-1", RetryMaxAttempts: 1, HTTPClient: front.Client(),
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: accessKeyID, SecretAccessKey: "secret"}, nil
			}),
		}).GetCallerIdentity(t.Context(), nil)
	}
	if out, err := ask("STRANGER"); err == nil {
		t.Errorf("a stranger is %s", *out.Arn)
	}
	out, err := ask("AKIDEXAMPLE")
	if err != nil {
		t.Fatal(err)
	}
	if *out.Account != who.Account || *out.Arn != who.ARN || *out.UserId != who.UserID {
		t.Errorf("%s, %s, %s", *out.Account, *out.Arn, *out.UserId)
	}
}
