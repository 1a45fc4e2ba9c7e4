package logs

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"hotaru/services/logs/logstore"
)

// place is where a reader of events is, and which way it goes.
type place struct {
	backward bool
	at       logstore.Position
}

// String is a token as GetLogEvents has them: f/ or b/, 56 digits, /s.
func (p place) String() string {
	way := "f/"
	if p.backward {
		way = "b/"
	}
	return way + digits(p.at) + "/s"
}

// digits are an event's ID: its time and its number, so that IDs are ordered as events are.
func digits(p logstore.Position) string { return fmt.Sprintf("%036d%020d", p.Time, p.Seq) }

func parsePlace(token string) (place, error) {
	rest, backward := strings.CutPrefix(token, "b/")
	rest, forward := strings.CutPrefix(rest, "f/")
	rest, whole := strings.CutSuffix(rest, "/s")
	if backward == forward || !whole || len(rest) != 56 {
		return place{}, invalidToken()
	}
	at, errTime := strconv.ParseUint(rest[:36], 10, 63)
	seq, errSeq := strconv.ParseUint(rest[36:], 10, 64)
	if errTime != nil || errSeq != nil {
		return place{}, invalidToken()
	}
	return place{backward, logstore.Position{Time: int64(at), Seq: seq}}, nil
}

// opaque is a token as FilterLogEvents has them, which say nothing to callers.
func (p place) opaque() *string {
	return new(base64.RawURLEncoding.EncodeToString([]byte(p.String())))
}

func parseOpaque(token string) (place, error) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return place{}, invalidToken()
	}
	return parsePlace(string(text))
}
