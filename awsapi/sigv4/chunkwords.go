package sigv4

import (
	"fmt"
	"net/http"
	"strings"

	"hotaru/awsapi"
)

// The refusals of bodies in chunks have S3's codes and words, because no other service of AWS takes such bodies
// (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).

func badRequest(code, text string) error {
	return &awsapi.Error{Code: code, Message: text, Status: http.StatusBadRequest}
}

// errEndOfBody is a body that ended before its last chunk or within one.
var errEndOfBody = incompleteBody()

func incompleteBody() error {
	return badRequest("IncompleteBody", "The request body terminated unexpectedly")
}

func wrongLength() error {
	return badRequest("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header.")
}

func missingLength() error {
	return &awsapi.Error{Code: "MissingContentLength", Status: http.StatusLengthRequired,
		Message: "You must provide the Content-Length HTTP header."}
}

func malformedTrailer() error {
	return badRequest("MalformedTrailerError", "The request contained trailing data that was not well-formed or did not "+
		"conform to our published schema.")
}

func unsupportedTrailer() error {
	return badRequest("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
}

func invalidChecksum(header string) error {
	return badRequest("InvalidRequest", fmt.Sprintf("Value for %s trailing header is invalid.", header))
}

func badDigest(algorithm string) error {
	return badRequest("BadDigest", fmt.Sprintf("The %s you specified did not match the calculated checksum.", algorithm))
}

func shortChunk() error {
	return badRequest("InvalidChunkSizeError", fmt.Sprintf("Only the last chunk is allowed to have a size less than %d bytes", minChunk))
}

func longChunk() error {
	return badRequest("InvalidChunkSizeError", fmt.Sprintf("A signed chunk may have at most %d bytes", maxChunk))
}

func unknownMark(mark string) error {
	return &awsapi.Error{Code: "InvalidArgument", Status: http.StatusBadRequest,
		Message: "x-amz-content-sha256 must be " + Unsigned + ", " + StreamingUnsignedTrailer + ", " + StreamingSigned + ", " +
			StreamingSignedTrailer + ", " + streamingA + "-PAYLOAD, " + streamingA + "-PAYLOAD-TRAILER or a valid sha256 value.",
		Fields: map[string]any{"ArgumentName": "x-amz-content-sha256", "ArgumentValue": mark}}
}

func headersNotSigned(names []string) error {
	return &awsapi.Error{Code: "AccessDenied", Message: "There were headers present in the request which were not signed",
		Status: http.StatusForbidden, Fields: map[string]any{"HeadersNotSigned": strings.Join(names, ", ")}}
}
