package server

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"

	"hotaru/awsapi"
)

// encodings are the names in Content-Encoding, without aws-chunked, which frames a body and does not encode it.
func encodings(r *http.Request) []string {
	var names []string
	for _, value := range r.Header["Content-Encoding"] {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.ToLower(strings.TrimSpace(name)); name != "" && name != "aws-chunked" {
				names = append(names, name)
			}
		}
	}
	return names
}

func gzipped(r *http.Request) bool {
	names := encodings(r)
	return len(names) == 1 && names[0] == "gzip"
}

// expand takes the encoding off a body where the model lets callers compress it (Smithy's requestCompression trait).
// Any other operation's body is taken as it is: what it carries may be anything.
func (x *exchange) expand(data []byte, limit int64) ([]byte, error) {
	if !x.op.Compressed || len(x.r.Header["Content-Encoding"]) == 0 {
		return data, nil
	}
	switch names := encodings(x.r); {
	case len(names) == 0 || len(names) == 1 && names[0] == "identity":
		return data, nil
	case gzipped(x.r):
		return x.inflate(data, limit)
	default:
		return nil, &awsapi.Error{Code: "UnsupportedMediaTypeException", Status: http.StatusUnsupportedMediaType,
			Message: "The content encoding " + strings.Join(names, ", ") + " is not supported."}
	}
}

// inflate unpacks gzip up to a limit: a small body must not become a large one.
func (x *exchange) inflate(data []byte, limit int64) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, notGzip()
	}
	plain, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, notGzip()
	case int64(len(plain)) > limit:
		return nil, x.tooLarge(limit)
	}
	return plain, nil
}

func notGzip() error {
	return awsapi.Errorf("SerializationException", "Could not decompress the request body: it is not gzip")
}
