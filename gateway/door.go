package gateway

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"hotaru/awsapi"
)

// door is one way in: the port, or the listeners inside execution environments.
type door struct {
	gateway *Gateway
	inside  bool
	limits  Limits
	// memory is for the bodies of those whose key is known, strangers for those of others.
	memory, strangers *budget
}

// strangersPart is how much of BodyMemory there is, besides, for the bodies of those who have not said who they are yet.
const strangersPart = 8

func (g *Gateway) newDoor(inside bool) *door {
	limits := g.options.Limits.withDefaults()
	return &door{
		gateway: g, inside: inside, limits: limits,
		memory: newBudget(limits.BodyMemory), strangers: newBudget(limits.BodyMemory / strangersPart),
	}
}

// ServeHTTP answers one request. Whether it may be asked here at all comes before anything else.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	if r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0) {
		// Where both Content-Length and Transfer-Encoding were sent, net/http has dropped the first, and a proxy that
		// believed it sees another end of this request. Nothing after it may count (RFC 9112, section 6.1).
		w.Header().Set("Connection", "close")
	}
	if r.ContentLength != 0 && r.Body != nil {
		g := d.guard(w, r)
		defer g.release()
		w, r = g, &g.request
	}
	if refusal := d.check(w, r); refusal != nil {
		d.refuse(w, r, refusal, started)
		return
	}
	switch {
	case isPreflight(r) && w.Header().Get("Access-Control-Allow-Origin") != "":
		answerPreflight(w, r)
		d.gateway.log(r, &line{operation: "Preflight", status: http.StatusNoContent, started: started})
	case isDownload(r):
		d.gateway.download(w, r, started)
	default:
		d.gateway.aws.ServeHTTP(w, r)
	}
}

// check says why a request must not be answered here, nil if it may.
func (d *door) check(w http.ResponseWriter, r *http.Request) *awsapi.Error {
	if !d.gateway.checkHost(r, d.inside) {
		return misdirected(r)
	}
	if !isDownload(r) { // the links to packages may stand anywhere: they are signed for one package and one method
		switch d.gateway.origins.judge(r) {
		case foreignPage:
			return foreign(r)
		case allowedPage:
			allowPage(w.Header(), r.Header["Origin"][0])
		case noPage:
		}
	}
	for _, name := range singular() {
		if len(r.Header[name]) > 1 {
			return &awsapi.Error{Code: "BadRequestException", Status: http.StatusBadRequest,
				Message: "The header " + name + " was sent more than once."}
		}
	}
	return nil
}

// singular are the headers that decide who asks for what: two of one may be read differently by two readers. For two of
// Authorization and Content-Type services have words of their own.
func singular() [4]string {
	return [...]string{"X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-Amz-Target"}
}

func misdirected(r *http.Request) *awsapi.Error {
	e := &awsapi.Error{Code: "MisdirectedRequestException", Status: http.StatusMisdirectedRequest,
		Message: "The Host header is missing or malformed."}
	if name, ok := parseHost(r.Host); ok {
		e.Message = name + " is not a name of this Hotaru. If it should be one, start it with --allowed-host=" + name + "."
	}
	return e
}

func foreign(r *http.Request) *awsapi.Error {
	e := &awsapi.Error{Code: "ForeignOriginException", Status: http.StatusForbidden,
		Message: "Pages of other sites may not use this Hotaru."}
	if sent := r.Header["Origin"]; len(sent) == 1 {
		if scheme, authority, ok := parseOrigin(sent[0]); ok {
			origin := scheme + "://" + authority
			e.Message = "Pages of " + origin + " may not use this Hotaru. If they should, start it with --cors-origin=" + origin + "."
		}
	}
	return e
}

// refuse answers an error in the form of restJson1, which every client can at least show: no service is known yet.
func (d *door) refuse(w http.ResponseWriter, r *http.Request, e *awsapi.Error, started time.Time) {
	text, err := json.Marshal(map[string]string{"message": e.Message})
	if err != nil {
		text = []byte("{}") // strings always marshal
	}
	header, id := w.Header(), uuid.NewString()
	header.Set("Content-Type", "application/json")
	header.Set("X-Amzn-Errortype", e.Code)
	header.Set("X-Amzn-Requestid", id)
	header.Set("Vary", "Origin, Sec-Fetch-Site")
	w.WriteHeader(e.Status)
	n, _ := w.Write(text) // an error means that nobody is left to tell
	d.gateway.log(r, &line{code: e.Code, request: id, status: e.Status, sent: int64(n), started: started})
}
