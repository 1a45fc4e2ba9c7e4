package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"hotaru/awsapi"
	"hotaru/awsapi/checksum"
)

// The two examples of AWS's documentation (sigv4-streaming.html, sigv4-streaming-trailers.html).
const (
	docKey       = "AKIAIOSFODNN7EXAMPLE"
	docSecret    = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	docDate      = "20130524T000000Z"
	docSeed      = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
	docFirst     = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
	docSecond    = "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
	docLast      = "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
	docTSeed     = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
	docTFirst    = "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"
	docTSecond   = "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"
	docTLast     = "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"
	docTrailer   = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
	docCRC32C    = "sOO8/Q=="
	docTokenBase = "AWS4-HMAC-SHA256 Credential=" + docKey + "/20130524/us-east-1/s3/aws4_request,SignedHeaders="
)

func documented(mark, signedHeaders, seed string, header map[string]string, body string) *http.Request {
	r := httptest.NewRequest("PUT", "http://s3.amazonaws.com/examplebucket/chunkObject.txt", strings.NewReader(body))
	for name, value := range map[string]string{
		"X-Amz-Date": docDate, "X-Amz-Storage-Class": "REDUCED_REDUNDANCY", "X-Amz-Content-Sha256": mark,
		"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": "66560",
		"Authorization": docTokenBase + signedHeaders + ",Signature=" + seed,
	} {
		r.Header.Set(name, value)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	return r
}

func documentedSigned() *http.Request {
	return documented(StreamingSigned, "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"+
		"x-amz-decoded-content-length;x-amz-storage-class", docSeed, map[string]string{"Content-Length": "66824"},
		"10000;chunk-signature="+docFirst+"\r\n"+strings.Repeat("a", 65536)+"\r\n"+
			"400;chunk-signature="+docSecond+"\r\n"+strings.Repeat("a", 1024)+"\r\n"+
			"0;chunk-signature="+docLast+"\r\n\r\n")
}

// documentedTrailer ends the last chunk with a line of its own or not: the example leaves it open.
func documentedTrailer(lineEnd string) *http.Request {
	return documented(StreamingSignedTrailer, "content-encoding;host;x-amz-content-sha256;x-amz-date;"+
		"x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer", docTSeed,
		map[string]string{"X-Amz-Trailer": "x-amz-checksum-crc32c"},
		"10000;chunk-signature="+docTFirst+"\r\n"+strings.Repeat("a", 65536)+"\r\n"+
			"400;chunk-signature="+docTSecond+"\r\n"+strings.Repeat("a", 1024)+"\r\n"+
			"0;chunk-signature="+docTLast+"\r\n"+lineEnd+"x-amz-checksum-crc32c:"+docCRC32C+"\r\n"+
			"x-amz-trailer-signature:"+docTrailer+"\r\n\r\n")
}

func verifyDocumented(r *http.Request) (Result, error) {
	at, err := time.Parse(timeFormat, docDate)
	if err != nil {
		return Result{}, err
	}
	v := NewVerifier(Options{Now: func() time.Time { return at },
		Credentials: func(context.Context, string, string) ([]byte, awsapi.Identity, error) {
			return []byte(docSecret), awsapi.Identity{}, nil
		}})
	return v.Verify(r, Expect{Service: "s3"}, nil)
}

func TestDocumentedChunks(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"signed": documentedSigned(), "trailer": documentedTrailer(""), "trailer after a line end": documentedTrailer("\r\n"),
	} {
		result, err := verifyDocumented(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if result.Chunks == nil || result.Chunks.Length != 66560 || result.PayloadHash != "" {
			t.Fatalf("%s: %+v", name, result)
		}
		reader := result.Chunks.Reader(iotest.HalfReader(r.Body))
		got, err := io.ReadAll(reader)
		if err != nil || string(got) != strings.Repeat("a", 66560) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		want := http.Header{}
		if name != "signed" {
			want.Set("x-amz-checksum-crc32c", docCRC32C)
		}
		if d := cmp.Diff(want, reader.Trailer()); d != "" {
			t.Errorf("%s: trailers (-want +got)\n%s", name, d)
		}
	}
}

// upload is a body in chunks that the real SDK signed: its StreamSigner, given no headers, signs chunks.
type upload struct {
	mark     string
	chunks   []string
	trailers map[string]string
	header   map[string]string
	service  string
}

// framed is a signed request and its body's parts, which tests may change before they are joined.
type framed struct {
	request *http.Request
	parts   []string
}

func (u upload) sign(t testing.TB) framed {
	t.Helper()
	total := 0
	for _, c := range u.chunks {
		total += len(c)
	}
	names := make([]string, 0, len(u.trailers))
	for name := range u.trailers {
		names = append(names, name)
	}
	header := map[string]string{"X-Amz-Decoded-Content-Length": strconv.Itoa(total), "Content-Encoding": "aws-chunked"}
	if len(names) > 0 {
		header["X-Amz-Trailer"] = strings.Join(names, ",")
	}
	for name, value := range u.header {
		header[name] = value
	}
	service := or(u.service, "lambda")
	r := request{method: "PUT", target: "/bucket/key", hash: u.mark, header: header, service: service}.sign(t)
	_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	seed, err := hex.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	signer := v4.NewStreamSigner(aws.Credentials{AccessKeyID: suiteKey, SecretAccessKey: suiteSecret}, service, "us-east-1", seed)
	var parts []string
	var last []byte
	for _, chunk := range append(append([]string{}, u.chunks...), "") {
		head := strconv.FormatInt(int64(len(chunk)), 16)
		if u.mark != StreamingUnsignedTrailer {
			if last, err = signer.GetSignature(t.Context(), nil, []byte(chunk), now()); err != nil {
				t.Fatal(err)
			}
			head += ";chunk-signature=" + hex.EncodeToString(last)
		}
		parts = append(parts, head+"\r\n")
		if chunk != "" {
			parts = append(parts, chunk+"\r\n")
		}
	}
	for name, value := range u.trailers {
		parts = append(parts, name+":"+value+"\r\n")
	}
	if u.mark == StreamingSignedTrailer {
		parts = append(parts, "x-amz-trailer-signature:"+u.trailerSignature(last)+"\r\n")
	}
	return framed{r, append(parts, "\r\n")}
}

// trailerSignature is made by hand, because the SDK's signer has none: it follows the documentation's text.
func (u upload) trailerSignature(last []byte) string {
	text := string(canonicalTrailers(asHeader(u.trailers)))
	s := scope{suiteKey, "20260304", "us-east-1", or(u.service, "lambda"), terminator}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hmacSHA256(derive(s, []byte(suiteSecret)), []byte("AWS4-HMAC-SHA256-TRAILER\n20260304T050607Z\n"+
		s.String()+"\n"+hex.EncodeToString(last)+"\n"+hex.EncodeToString(sum[:]))))
}

func asHeader(m map[string]string) http.Header {
	h := http.Header{}
	for name, value := range m {
		h.Set(name, value)
	}
	return h
}

// receive verifies the request and reads its body.
func (f framed) receive(service string) (string, http.Header, error) {
	result, err := verify(f.request, "", Expect{Service: service})
	if err != nil {
		return "", nil, err
	}
	if result.Chunks == nil {
		return "", nil, errors.New("no chunks")
	}
	reader := result.Chunks.Reader(strings.NewReader(strings.Join(f.parts, "")))
	b, err := io.ReadAll(reader)
	return string(b), reader.Trailer(), err
}

func sumsOf(text string) map[string]string {
	all := map[string]string{}
	for _, name := range []string{"crc32", "crc32c", "crc64nvme", "sha1", "sha256"} {
		s, _ := checksum.New(checksum.Prefix + name)
		_, _ = io.WriteString(s, text)
		all[s.Header] = s.Text()
	}
	return all
}

func TestChunksAccepted(t *testing.T) {
	large, small := strings.Repeat("ab", 5000), "end"
	for name, u := range map[string]upload{
		"signed":                {mark: StreamingSigned, chunks: []string{large, large, small}},
		"nothing":               {mark: StreamingSigned},
		"one small chunk":       {mark: StreamingSigned, chunks: []string{small}},
		"S3":                    {mark: StreamingSigned, chunks: []string{small}, service: "s3"},
		"signed, all checksums": {mark: StreamingSignedTrailer, chunks: []string{large, small}, trailers: sumsOf(large + small)},
		"signed, trailer of nothing": {mark: StreamingSignedTrailer,
			trailers: map[string]string{"x-amz-checksum-crc32": "AAAAAA=="}},
		"unsigned, all checksums": {mark: StreamingUnsignedTrailer, chunks: []string{large, large, small}, trailers: sumsOf(large + large + small)},
	} {
		f := u.sign(t)
		got, trailer, err := f.receive(or(u.service, "lambda"))
		if want := strings.Join(u.chunks, ""); err != nil || got != want {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(want), err)
		}
		if d := cmp.Diff(asHeader(u.trailers), trailer); d != "" {
			t.Errorf("%s: trailers (-want +got)\n%s", name, d)
		}
	}
}

func TestChunksRefused(t *testing.T) {
	large, other := strings.Repeat("a", minChunk), strings.Repeat("b", minChunk)
	crc := map[string]string{"x-amz-checksum-crc32": sumsOf(large + other)["x-amz-checksum-crc32"]}
	signed := upload{mark: StreamingSigned, chunks: []string{large, other}}
	trailing := upload{mark: StreamingSignedTrailer, chunks: []string{large, other}, trailers: crc}
	unsigned := upload{mark: StreamingUnsignedTrailer, chunks: []string{large, other}, trailers: crc}
	edit := func(i int, old, new string) func(*framed) {
		return func(f *framed) {
			changed := strings.Replace(f.parts[i], old, new, 1)
			if changed == f.parts[i] {
				t.Fatalf("part %d has no %q", i, old)
			}
			f.parts[i] = changed
		}
	}
	cut := func(n int) func(*framed) { return func(f *framed) { f.parts = f.parts[:n] } }
	const mismatch = "InvalidSignatureException"
	for _, c := range []struct {
		name   string
		upload upload
		change func(*framed)
		code   string
		status int
		// before is how much comes out before the refusal.
		before int
	}{
		{"first chunk changed", signed, edit(1, "a", "x"), mismatch, 403, 0},
		{"second chunk changed", signed, edit(3, "b", "x"), mismatch, 403, minChunk},
		{"chunks swapped", signed, func(f *framed) {
			f.parts[0], f.parts[1], f.parts[2], f.parts[3] = f.parts[2], f.parts[3], f.parts[0], f.parts[1]
		}, mismatch, 403, 0},
		{"a chunk left out", signed, func(f *framed) { f.parts = append(f.parts[:2], f.parts[4:]...) }, mismatch, 403, minChunk},
		{"a chunk twice", signed, func(f *framed) {
			f.parts = append([]string{f.parts[0], f.parts[1]}, f.parts...)
		}, mismatch, 403, minChunk},
		{"no signature", signed, edit(0, ";chunk-signature=", ";signature="), "IncompleteBody", 400, 0},
		{"no extension", signed, func(f *framed) { f.parts[0] = "2000\r\n" }, "IncompleteBody", 400, 0},
		{"signature cut", signed, edit(0, "\r\n", "0\r\n"), mismatch, 403, 0},
		{"last signature changed", signed, func(f *framed) {
			f.parts[4] = "0;chunk-signature=" + strings.Repeat("0", 64) + "\r\n"
		}, mismatch, 403, 2 * minChunk},
		{"no last chunk", signed, cut(4), "IncompleteBody", 400, 2 * minChunk},
		{"ends in a chunk", signed, edit(3, "bbb\r\n", ""), "", 0, minChunk},
		{"ends in a head", signed, cut(1), "IncompleteBody", 400, 0},
		{"nothing", signed, cut(0), "IncompleteBody", 400, 0},
		{"more after the end", signed, func(f *framed) { f.parts = append(f.parts, "x") }, "IncompleteBody", 400, 2 * minChunk},
		{"negative size", signed, edit(0, "2000", "-2000"), "IncompleteBody", 400, 0},
		{"no number", signed, edit(0, "2000", "zz"), "IncompleteBody", 400, 0},
		{"endless size", signed, edit(0, "2000", "fffffffffffffffffff"), "IncompleteBody", 400, 0},
		{"too large a chunk", signed, edit(0, "2000", "1000001"), "InvalidChunkSizeError", 400, 0},
		{"endless head", signed, func(f *framed) { f.parts[0] = strings.Repeat("0", 2*lineLimit) }, "IncompleteBody", 400, 0},
		{"more than stated", upload{mark: StreamingSigned, chunks: []string{large, other}, header: map[string]string{"X-Amz-Decoded-Content-Length": "8192"}},
			nil, "IncompleteBody", 400, minChunk},
		{"less than stated", upload{mark: StreamingSigned, chunks: []string{large}, header: map[string]string{"X-Amz-Decoded-Content-Length": "8193"}},
			nil, "IncompleteBody", 400, minChunk},
		{"no stated length", upload{mark: StreamingSigned, header: map[string]string{"X-Amz-Decoded-Content-Length": ""}}, nil, "MissingContentLength", 411, 0},
		{"negative length", upload{mark: StreamingSigned, header: map[string]string{"X-Amz-Decoded-Content-Length": "-1"}}, nil, "MissingContentLength", 411, 0},
		{"short chunk before another", upload{mark: StreamingSigned, chunks: []string{"ab", "cd"}}, nil, "InvalidChunkSizeError", 400, 2},
		{"trailer's signature changed", trailing, edit(6, "signature:", "signature:0"), mismatch, 403, 2 * minChunk},
		{"trailer's signature missing", trailing, func(f *framed) { f.parts[6] = "" }, mismatch, 403, 2 * minChunk},
		{"trailer changed", trailing, edit(5, ":", ":A"), mismatch, 403, 2 * minChunk},
		{"another trailer", trailing, edit(5, "crc32", "crc32c"), "MalformedTrailerError", 400, 2 * minChunk},
		{"trailer missing", unsigned, func(f *framed) { f.parts[5] = "" }, "MalformedTrailerError", 400, 2 * minChunk},
		{"trailer twice", unsigned, func(f *framed) { f.parts[5] += f.parts[5] }, "MalformedTrailerError", 400, 2 * minChunk},
		{"trailer without a colon", unsigned, func(f *framed) { f.parts[5] = "x-amz-checksum-crc32\r\n" }, "MalformedTrailerError", 400, 2 * minChunk},
		{"too many trailers", unsigned, func(f *framed) { f.parts[5] = strings.Repeat("x\r\n", 100) }, "MalformedTrailerError", 400, 2 * minChunk},
		{"unsigned with a signature", unsigned, edit(0, "2000", "2000;chunk-signature=00"), "IncompleteBody", 400, 0},
		{"unsigned chunk changed", unsigned, edit(1, "a", "x"), "BadDigest", 400, 2 * minChunk},
		{"no checksum", unsigned, func(f *framed) { f.parts[5] = "x-amz-checksum-crc32:*\r\n" }, "InvalidRequest", 400, 2 * minChunk},
		{"no line end after a chunk", unsigned, edit(1, "\r\n", "x\r\n"), "IncompleteBody", 400, minChunk},
		{"a mark with no trailer", upload{mark: StreamingSignedTrailer}, nil, "MalformedTrailerError", 400, 0},
		{"a trailer with no mark", upload{mark: StreamingSigned, trailers: crc}, nil, "MalformedTrailerError", 400, 0},
		{"a trailer of a plain body", upload{mark: Unsigned, trailers: crc}, nil, "MalformedTrailerError", 400, 0},
		{"a trailer nobody knows", upload{mark: StreamingUnsignedTrailer, trailers: map[string]string{"x-amz-meta-a": "b"}}, nil, "InvalidRequest", 400, 0},
		{"an announcement twice", upload{mark: StreamingUnsignedTrailer, trailers: crc,
			header: map[string]string{"X-Amz-Trailer": "x-amz-checksum-crc32,x-amz-checksum-crc32"}}, nil, "MalformedTrailerError", 400, 0},
		{"events", upload{mark: "STREAMING-AWS4-HMAC-SHA256-EVENTS"}, nil, "InvalidArgument", 400, 0},
		{"version 4A", upload{mark: streamingA + "-PAYLOAD"}, nil, "IncompleteSignatureException", 403, 0},
		{"length not signed", signed, func(f *framed) { unsign(f.request, ";x-amz-decoded-content-length") }, "AccessDenied", 403, 0},
		{"trailer not signed", trailing, func(f *framed) { unsign(f.request, ";x-amz-trailer") }, "AccessDenied", 403, 0},
	} {
		f := c.upload.sign(t)
		if c.change != nil {
			c.change(&f)
		}
		got, _, err := f.receive("lambda")
		var api *awsapi.Error
		if !errors.As(err, &api) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.code != "" && (api.Code != c.code || api.Status != c.status) || len(got) != c.before {
			t.Errorf("%s: %d %s (%s) after %d bytes, want %d %s after %d", c.name, api.Status, api.Code, api.Message, len(got), c.status, c.code, c.before)
		}
	}
}

func unsign(r *http.Request, name string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), name, "", 1))
}

// TestEveryByteOfAChunkCounts flips each bit of a small signed upload.
func TestEveryByteOfAChunkCounts(t *testing.T) {
	f := upload{mark: StreamingSignedTrailer, chunks: []string{"hello"}, trailers: map[string]string{"x-amz-checksum-sha1": "qvTGHdzF6KLavt4PO0gs2a6pQ00="}}.sign(t)
	whole := strings.Join(f.parts, "")
	if got, _, err := f.receive("lambda"); err != nil || got != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
	for i := range whole {
		for bit := range 8 {
			changed := []byte(whole)
			changed[i] ^= 1 << bit
			f.parts = []string{string(changed)}
			got, _, err := f.receive("lambda")
			// Names, white space and hexadecimals have more than one form; what comes out has not.
			if err == nil && got != "hello" || err != nil && got != "" && got != "hello" {
				t.Errorf("%q gives %q, %v", changed, got, err)
			}
		}
	}
}

func TestInsecureChunks(t *testing.T) {
	f := upload{mark: StreamingSigned, chunks: []string{"hello"}}.sign(t)
	f.request.Header.Set("Authorization", strings.Replace(f.request.Header.Get("Authorization"), "Signature=", "Signature=0", 1))
	v := NewVerifier(Options{Credentials: credentials, Insecure: true, Now: now})
	result, err := v.Verify(f.request, Expect{Service: "lambda"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.parts[1] = "world\r\n"
	got, err := io.ReadAll(result.Chunks.Reader(strings.NewReader(strings.Join(f.parts, ""))))
	if err != nil || string(got) != "world" {
		t.Errorf("%q, %v", got, err)
	}
	f.request.Header.Del("X-Amz-Decoded-Content-Length")
	if _, err := v.Verify(f.request, Expect{Service: "lambda"}, nil); err == nil {
		t.Error("chunks without a length pass")
	}
}

// TestChunkMemory sends a chunk that never comes: its stated size must not be allocated.
func TestChunkMemory(t *testing.T) {
	c := &Chunks{Length: 1 << 40, signed: true, key: []byte("k")}
	head := fmt.Sprintf("%x;chunk-signature=00\r\n", maxChunk)
	allocated := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if _, err := io.ReadAll(c.Reader(strings.NewReader(head))); err == nil {
				b.Fatal("accepted")
			}
		}
	}).AllocedBytesPerOp()
	if allocated > maxChunk/16 {
		t.Errorf("%d bytes are allocated for a chunk that did not come", allocated)
	}
}

func FuzzChunks(f *testing.F) {
	signed := upload{mark: StreamingSignedTrailer, chunks: []string{strings.Repeat("a", minChunk), "b"},
		trailers: map[string]string{"x-amz-checksum-crc32": sumsOf(strings.Repeat("a", minChunk) + "b")["x-amz-checksum-crc32"]}}
	good := signed.sign(f)
	f.Add(strings.Join(good.parts, ""), byte(1))
	f.Add("3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n", byte(2))
	f.Add("3;chunk-signature=00\r\nabc\r\n0;chunk-signature=00\r\n\r\n", byte(0))
	f.Fuzz(func(t *testing.T, body string, kind byte) {
		c := &Chunks{Length: 3, words: wordsFor(Expect{})}
		switch kind % 3 {
		case 0:
			c.signed = true
		case 1:
			result, err := verify(good.request, "", Expect{})
			if err != nil {
				t.Fatal(err)
			}
			c = result.Chunks
		case 2:
			c.trailing, c.announced = true, []string{"x-amz-checksum-crc32"}
		}
		got, err := io.ReadAll(c.Reader(strings.NewReader(body)))
		if int64(len(got)) > c.Length {
			t.Errorf("%d bytes of %d came out", len(got), c.Length)
		}
		if kind%3 == 1 && !bytes.HasPrefix([]byte(strings.Repeat("a", minChunk)+"b"), got) {
			t.Errorf("bytes that nobody signed came out: %q", got)
		}
		if err == nil && int64(len(got)) != c.Length {
			t.Errorf("%d bytes of %d are taken for all", len(got), c.Length)
		}
		again, errAgain := io.ReadAll(c.Reader(iotest.OneByteReader(strings.NewReader(body))))
		if (err == nil) != (errAgain == nil) || err == nil && !bytes.Equal(got, again) {
			t.Errorf("read byte by byte: %q %v, at once %q %v", again, errAgain, got, err)
		}
	})
}
