package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		ctx, cancel := context.WithCancel(t.Context())
		if b.take(ctx, 60, 0) != 60 {
			t.Fatal("the first is refused")
		}
		started := time.Now()
		if b.take(ctx, 50, time.Second) != 0 || time.Since(started) != time.Second {
			t.Errorf("too much: waited %s", time.Since(started))
		}
		var group sync.WaitGroup
		served := make(chan string, 3)
		group.Go(func() {
			if b.take(ctx, 70, time.Minute) == 70 {
				served <- "large"
			}
		})
		synctest.Wait()
		group.Go(func() {
			if b.take(ctx, 10, time.Minute) == 10 {
				served <- "small"
			}
		})
		synctest.Wait()
		if len(served) > 0 {
			t.Error("somebody pushed in")
		}
		b.give(60)
		group.Wait()
		if first, second := <-served, <-served; first == second {
			t.Errorf("served: %s, %s", first, second)
		}
		// The first in the queue gives up: the next one is served.
		group.Go(func() {
			if b.take(ctx, 90, time.Second) != 0 {
				t.Error("more than there is was given")
			}
		})
		synctest.Wait()
		group.Go(func() {
			if b.take(ctx, 20, time.Minute) == 20 {
				served <- "behind"
			}
		})
		group.Wait()
		if len(served) != 1 {
			t.Error("who waited behind one that gave up was not served")
		}
		group.Go(func() {
			if b.take(ctx, 50, time.Minute) != 0 {
				t.Error("a request that has gone was served")
			}
		})
		synctest.Wait()
		cancel()
		group.Wait()
		b.give(70 + 10 + 20)
		if b.left != 100 || len(b.waiting) != 0 {
			t.Errorf("left %d, waiting %d", b.left, len(b.waiting))
		}
		if b.take(t.Context(), 1000, 0) != 100 {
			t.Error("more than there ever is takes all")
		}
	})
}

// TestSlowHeader: a connection that says nothing, or goes on saying its header, ends.
func TestSlowHeader(t *testing.T) {
	r := start(t, limits(Limits{HeaderTime: 100 * time.Millisecond}))
	for name, text := range map[string]string{
		"silent": "", "one letter": "G", "half a header": "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ",
		"half a TLS hello": "\x16\x03\x01\x02\x00\x01", "half of HTTP/2's preface": "PRI * HTTP/2.0\r\n\r\nSM",
	} {
		c := r.dial()
		c.send(text)
		_, err := io.ReadAll(c)
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	// Letter by letter does not help.
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.ReadAll(c)
	}()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	limit := time.After(30 * time.Second)
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
			_, _ = io.WriteString(c, "a")
		case <-limit:
			t.Fatal("letter by letter: the connection stays open")
		}
	}
}

// TestSlowBody: a body that stops, or trickles below the rate, is given up.
func TestSlowBody(t *testing.T) {
	r := start(t, limits(Limits{BodyTime: 200 * time.Millisecond, BodyRate: 1 << 20}))
	c := r.dial()
	body := []byte(`"` + strings.Repeat("a", 1<<20) + `"`)
	head := "POST " + invokePath + " HTTP/1.1\r\n" + r.headers(invokePath, body) + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	c.send(head + string(body[:100]))
	response, text := c.answer()
	if response.StatusCode != http.StatusRequestTimeout || response.Header.Get("X-Amzn-Errortype") != "RequestTimeoutException" {
		t.Errorf("it stopped: %s %s", response.Status, text)
	}
	c.ended()

	c = r.dial()
	c.send(head)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = http.ReadResponse(c.answers, nil)
	}()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	sent := 0
	for trickling := true; trickling; {
		select {
		case <-answered:
			trickling = false
		case <-ticker.C:
			if _, err := c.Write(body[sent : sent+1]); err != nil {
				trickling = false
			}
			sent++
		}
	}
	<-answered
	if sent == len(body) {
		t.Error("a trickling body was awaited to its end")
	}
}

// TestPatience: neither a body that keeps the rate nor an answer that takes long is cut.
func TestPatience(t *testing.T) {
	limit := 150 * time.Millisecond
	r := start(t, limits(Limits{BodyTime: limit, BodyRate: 64 << 10, HeaderTime: limit, IdleTime: limit, WriteTime: limit}))
	const path = "/2015-03-31/functions/wait/invocations"
	body := []byte(`"` + strings.Repeat("a", 256<<10-2) + `"`)
	for name, text := range map[string]string{"without a body": "", "with a small body": `"a"`, "with a body": string(body)} {
		c := r.dial()
		c.send("POST " + path + " HTTP/1.1\r\n" + r.headers(path, []byte(text)) + "Content-Length: " + strconv.Itoa(len(text)) + "\r\n\r\n")
		// In pieces, over more than BodyTime: the rate earns it.
		ticker := time.NewTicker(limit / 2)
		for len(text) > 0 {
			<-ticker.C
			n := min(len(text), 64<<10)
			c.send(text[:n])
			text = text[n:]
		}
		r.enter()
		for range 8 { // the invocation takes four times each limit
			<-ticker.C
		}
		ticker.Stop()
		r.proceed <- struct{}{}
		if response, _ := c.answer(); response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, response.Status)
		}
	}
	answered := make(chan int, 1)
	request, client := r.request(http.MethodPost, "http://"+r.address+path, []byte(`"a"`)), r.client(speak(false, false, true))
	go func() {
		response, err := client.Do(request)
		if err != nil {
			answered <- 0
			return
		}
		defer response.Body.Close()
		answered <- response.StatusCode
	}()
	r.enter()
	ticker := time.NewTicker(limit)
	defer ticker.Stop()
	for range 4 {
		<-ticker.C
	}
	r.proceed <- struct{}{}
	if status := <-answered; status != http.StatusOK {
		t.Errorf("HTTP/2: %d", status)
	}
}

// TestGoneClient: whoever hangs up while a function runs ends the request, also after a body's deadline was lifted.
func TestGoneClient(t *testing.T) {
	r := start(t)
	const path = "/2015-03-31/functions/wait/invocations"
	c := r.dial()
	c.send("POST " + path + " HTTP/1.1\r\n" + r.headers(path, []byte(`"a"`)) + "Content-Length: 3\r\n\r\n\"a\"")
	r.enter()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	limit := time.After(30 * time.Second)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !strings.Contains(r.log.String(), "path="+path) {
		select {
		case <-ticker.C:
		case <-limit:
			t.Fatal("the request goes on")
		}
	}
}

// TestAnswerThatNobodyReads: a client that does not read is cut off, one that reads slowly is not.
func TestAnswerThatNobodyReads(t *testing.T) {
	r := start(t, limits(Limits{WriteTime: 200 * time.Millisecond}))
	const path = "/2015-03-31/functions/long/invocations"
	ask := "POST " + path + " HTTP/1.1\r\n" + r.headers(path, nil) + "Content-Length: 0\r\n\r\n"
	c := r.dial()
	c.send(ask)
	limit := time.After(30 * time.Second)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !strings.Contains(r.log.String(), "path="+path) {
		select {
		case <-ticker.C:
		case <-limit:
			t.Fatal("the answer is still being written")
		}
	}
	if n, err := io.Copy(io.Discard, c); err == nil && n >= 32<<20 {
		t.Error("the whole answer came")
	}

	c = r.dial()
	c.send(ask)
	response, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	total := int64(0)
	ticker.Reset(20 * time.Millisecond) // the whole takes three times WriteTime
	for {
		n, err := io.CopyN(io.Discard, response.Body, 1<<20)
		total += n
		if err != nil {
			break
		}
		<-ticker.C
	}
	if total != 32<<20 {
		t.Errorf("a slow reader got %d bytes", total)
	}
}

// TestBodyMemory: bodies wait for room and are then told to come back.
func TestBodyMemory(t *testing.T) {
	r := start(t, limits(Limits{BodyMemory: 1 << 20, BodyWait: 50 * time.Millisecond}))
	client := r.client()
	url := "http://" + r.address
	large := []byte(`"` + strings.Repeat("a", 900<<10) + `"`)
	first := make(chan int, 1)
	go func() {
		response, err := client.Do(r.request(http.MethodPost, url+"/2015-03-31/functions/wait/invocations", large))
		if err != nil {
			first <- 0
			return
		}
		defer response.Body.Close()
		first <- response.StatusCode
	}()
	r.enter()
	response, text := r.do(client, r.request(http.MethodPost, url+invokePath, large))
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") != "1" ||
		response.Header.Get("X-Amzn-Errortype") != "ServiceUnavailableException" {
		t.Errorf("no room: %s %v %s", response.Status, response.Header, text)
	}
	// In chunks nobody knows how much will come: what is there is used up first.
	request := r.request(http.MethodPost, url+invokePath, large)
	request.ContentLength = -1
	if response, text = r.do(client, request); response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") != "1" {
		t.Errorf("no room, in chunks: %s %s", response.Status, text)
	}
	if response, text = r.do(client, r.request(http.MethodPost, url+invokePath, []byte(`"hi"`))); response.StatusCode != http.StatusOK {
		t.Errorf("a small one: %s %s", response.Status, text)
	}
	unsigned, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+invokePath, strings.NewReader(string(large)))
	if err != nil {
		t.Fatal(err)
	}
	if response, text = r.do(client, unsigned); response.StatusCode != http.StatusForbidden {
		t.Errorf("an unsigned one: %s %s", response.Status, text)
	}
	r.proceed <- struct{}{}
	if status := <-first; status != http.StatusOK {
		t.Errorf("the first: %d", status)
	}
	if response, text = r.do(client, r.request(http.MethodPost, url+invokePath, large)); response.StatusCode != http.StatusOK || len(text) != len(large) {
		t.Errorf("afterwards: %s", response.Status)
	}
	if err := r.server.Shutdown(t.Context()); err != nil { // waits for the last to be put back
		t.Fatal(err)
	}
	if left := r.gateway.port.memory.left; left != 1<<20 {
		t.Errorf("%d bytes are left of the memory", left)
	}
}

// TestStreamedBody: what is not kept takes no memory, and what is larger than anything that is kept is not counted on.
func TestStreamedBody(t *testing.T) {
	for name, c := range map[string]struct {
		stream bool
		total  int64
	}{"said so": {true, share}, "too large to be kept": {false, 2 * mostKept}} {
		d := &door{limits: Limits{BodyWait: time.Nanosecond}.withDefaults(), memory: newBudget(c.total)}
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/", io.LimitReader(zeros{}, 3*mostKept))
		g := d.guard(httptest.NewRecorder(), request)
		if err := g.keep(); err != nil {
			t.Fatal(err)
		}
		body := g.request.Body
		if _, err := io.CopyN(io.Discard, body, 1<<20); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c.stream {
			body.(interface{ Stream() }).Stream()
		}
		if n, err := io.Copy(io.Discard, body); err != nil || n != 3*mostKept-1<<20 {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		if c.stream && d.memory.left != c.total || d.memory.left < 0 {
			t.Errorf("%s: %d of %d bytes are left", name, d.memory.left, c.total)
		}
		g.release()
		if d.memory.left != c.total {
			t.Errorf("%s: %d of %d bytes are left after it", name, d.memory.left, c.total)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestStrangersTakeNoMemory: whoever has not shown a known key cannot keep others from being served.
func TestStrangersTakeNoMemory(t *testing.T) {
	r := start(t, limits(Limits{BodyMemory: 1 << 20, BodyWait: time.Millisecond, BodyTime: time.Second}))
	junk := "Authorization: AWS4-HMAC-SHA256 Credential=AKIAUNKNOWN/20260101/us-east-1/lambda/aws4_request, " +
		"SignedHeaders=host;x-amz-date, Signature=00\r\nX-Amz-Date: 20260101T000000Z\r\n"
	form := "Content-Type: application/x-www-form-urlencoded\r\n"
	var strangers []*raw
	for _, head := range []string{
		"POST " + invokePath + " HTTP/1.1\r\n" + junk, "POST " + invokePath + " HTTP/1.1\r\n", "PUT /nowhere HTTP/1.1\r\n" + junk,
		"POST / HTTP/1.1\r\n" + form, "POST / HTTP/1.1\r\n" + form,
	} {
		c := r.dial()
		c.send(head + "Host: localhost\r\nContent-Length: 131072\r\n\r\na")
		strangers = append(strangers, c)
	}
	// The second form finds no room; the first holds all that there is for strangers.
	large := []byte(`"` + strings.Repeat("a", 1<<20-2) + `"`)
	for range 5 {
		if response, text := r.do(r.client(), r.request(http.MethodPost, "http://"+r.address+invokePath, large)); response.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", response.Status, text[:min(len(text), 200)])
		}
	}
	busy := 0
	for i, c := range strangers {
		response, text := c.answer()
		if response.StatusCode == http.StatusServiceUnavailable {
			busy++
		} else if response.StatusCode < 400 {
			t.Errorf("stranger %d: %s %s", i, response.Status, text)
		}
	}
	if busy != 1 {
		t.Errorf("%d forms found no room, want 1", busy)
	}
}

// TestRefusedTrickle: who has been refused cannot hold the connection by sending on and on.
func TestRefusedTrickle(t *testing.T) {
	r := start(t, limits(Limits{BodyTime: 500 * time.Millisecond}))
	c := r.dial()
	c.send("POST " + invokePath + " HTTP/1.1\r\nHost: " + r.address + "\r\nContent-Length: 100000\r\n\r\n")
	answered := make(chan int, 1)
	go func() {
		response, err := http.ReadResponse(c.answers, nil)
		if err != nil {
			answered <- 0
			return
		}
		_ = response.Body.Close()
		answered <- response.StatusCode
	}()
	ticker := time.NewTicker(lingerTime / 10)
	defer ticker.Stop()
	for limit := time.After(30 * time.Second); ; {
		select {
		case status := <-answered:
			if status != http.StatusForbidden {
				t.Errorf("status %d", status)
			}
			return
		case <-ticker.C:
			_, _ = io.WriteString(c, "a")
		case <-limit:
			t.Fatal("the refusal waits for the whole body")
		}
	}
}
