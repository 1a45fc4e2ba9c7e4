package function

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LayerID identifies a layer, as ID does a function.
type LayerID ID

// ARN is the layer's, without a version.
func (id LayerID) ARN() string {
	return "arn:" + id.Partition + ":lambda:" + id.Region + ":" + id.Account + ":layer:" + id.Name
}

// VersionARN is the ARN of one version of the layer.
func (id LayerID) VersionARN(number int64) string {
	return id.ARN() + ":" + strconv.FormatInt(number, 10)
}

// ParseLayerName takes a LayerName parameter: a name, which means the caller's layer, or a layer's ARN. ok is false for
// anything else. The model's pattern has usually been checked before.
func ParseLayerName(s string, caller ID) (id LayerID, ok bool) {
	id = LayerID{Partition: caller.Partition, Region: caller.Region, Account: caller.Account, Name: s}
	if strings.HasPrefix(s, "arn:") {
		parts := strings.Split(s, ":")
		if len(parts) != 7 || parts[2] != "lambda" || parts[5] != "layer" || !accountPattern.MatchString(parts[4]) {
			return LayerID{}, false
		}
		id = LayerID{Partition: parts[1], Region: parts[3], Account: parts[4], Name: parts[6]}
	}
	return id, namePattern.MatchString(id.Name)
}

// ParseLayerVersionARN takes the ARN of a layer's version apart.
func ParseLayerVersionARN(s string) (id LayerID, number int64, err error) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 || !strings.HasPrefix(s, "arn:") {
		return LayerID{}, 0, fmt.Errorf("function: %q is no layer version's ARN", s)
	}
	id, ok := ParseLayerName(s[:at], ID{})
	if !ok {
		return LayerID{}, 0, fmt.Errorf("function: %q is no layer version's ARN", s)
	}
	if number, err = strconv.ParseInt(s[at+1:], 10, 64); err != nil || number < 0 {
		return LayerID{}, 0, fmt.Errorf("function: %q is no layer version's number", s[at+1:])
	}
	return id, number, nil
}

// LayerVersion is one version of a layer. It never changes, and its number is never given again.
type LayerVersion struct {
	ID     LayerID `json:"id"`
	Number int64   `json:"number"`
	Code   CodeRef `json:"code"`

	Description string `json:"description"`
	License     string `json:"license,omitempty"`
	// Runtimes and Architectures are what the layer is said to be for. They serve to find it; no function is refused
	// for them, as on Lambda.
	Runtimes      []string  `json:"runtimes"`
	Architectures []string  `json:"architectures"`
	Created       time.Time `json:"created"`
}

// ARN is the version's.
func (v *LayerVersion) ARN() string { return v.ID.VersionARN(v.Number) }

// LayerRef is a layer version that a function uses. It stays usable when the layer version is deleted.
type LayerRef struct {
	ARN  string  `json:"arn"`
	Code CodeRef `json:"code"`
}
