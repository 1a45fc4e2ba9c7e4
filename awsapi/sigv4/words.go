package sigv4

import (
	"fmt"
	"net/http"
	"strings"

	"hotaru/awsapi"
)

// words are the codes, and the texts that differ, of a family of services.
type words struct {
	missingCode, missingText                              string
	unknownCode, expiredCode, invalidCode, incompleteCode string
	unknownText, expiredText, mismatchText                string
	// These two differ between the families' lists of common errors.
	incompleteStatus, expiredStatus int
}

const (
	unknownKeyText   = "The security token included in the request is invalid."
	expiredTokenText = "The security token included in the request is expired"
	mismatchedText   = "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)

func wordsFor(expect Expect) words {
	switch {
	case expect.Service == "s3":
		return words{
			missingCode: "AccessDenied", missingText: "Access Denied",
			unknownCode: "InvalidAccessKeyId", unknownText: "The AWS Access Key Id you provided does not exist in our records.",
			expiredCode: "ExpiredToken", expiredText: "The provided token has expired.", expiredStatus: http.StatusBadRequest,
			invalidCode: "SignatureDoesNotMatch", mismatchText: "The request signature we calculated does not match the " +
				"signature you provided. Check your key and signing method.",
			incompleteCode: "AuthorizationHeaderMalformed", incompleteStatus: http.StatusBadRequest,
		}
	case expect.Query:
		return words{
			missingCode: "MissingAuthenticationToken", missingText: "Request is missing Authentication Token",
			unknownCode: "InvalidClientTokenId", expiredCode: "ExpiredToken", invalidCode: "SignatureDoesNotMatch",
			incompleteCode: "IncompleteSignature", incompleteStatus: http.StatusBadRequest,
			unknownText: unknownKeyText, expiredText: expiredTokenText, mismatchText: mismatchedText,
			expiredStatus: http.StatusForbidden,
		}
	}
	return words{
		missingCode: "MissingAuthenticationTokenException", missingText: "Missing Authentication Token",
		unknownCode: "UnrecognizedClientException", expiredCode: "ExpiredTokenException",
		invalidCode: "InvalidSignatureException", incompleteCode: "IncompleteSignatureException",
		incompleteStatus: http.StatusForbidden,
		unknownText:      unknownKeyText, expiredText: expiredTokenText, mismatchText: mismatchedText,
		expiredStatus: http.StatusForbidden,
	}
}

func refuse(code, text string) error {
	return &awsapi.Error{Code: code, Message: text, Status: http.StatusForbidden}
}

func (w words) missing() error { return refuse(w.missingCode, w.missingText) }

func (w words) unknownKey() error { return refuse(w.unknownCode, w.unknownText) }

func (w words) expiredToken() error {
	return &awsapi.Error{Code: w.expiredCode, Message: w.expiredText, Status: w.expiredStatus}
}

func (w words) mismatch() error { return refuse(w.invalidCode, w.mismatchText) }

func (w words) invalid(format string, args ...any) error {
	return refuse(w.invalidCode, fmt.Sprintf(format, args...))
}

func (w words) incomplete(format string, args ...any) error {
	return w.refuseIncomplete(fmt.Sprintf(format, args...))
}

func (w words) refuseIncomplete(text string) error {
	return &awsapi.Error{Code: w.incompleteCode, Message: text, Status: w.incompleteStatus}
}

func (w words) signatureA() error {
	return w.refuseIncomplete("Signature Version 4A (" + algorithmA + ") is not supported here: sign with " + algorithm + ".")
}

// need is a part that a signature must have.
type need struct{ what, value string }

// required refuses with all parts that are missing.
func (w words) required(prefix string, needs []need, end string) error {
	var missing []string
	for _, n := range needs {
		if n.value == "" {
			missing = append(missing, prefix+" "+n.what+".")
		}
	}
	if missing == nil {
		return nil
	}
	return w.refuseIncomplete(strings.Join(append(missing, end), " "))
}

// Mismatch is the refusal of a body that is not the one that was signed.
func Mismatch(expect Expect) error { return wordsFor(expect).mismatch() }
