package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// model is a service model as botocore writes it, without prose.
type model struct {
	Metadata   metadata            `json:"metadata"`
	Operations ordered[*operation] `json:"operations"`
	Shapes     ordered[*shape]     `json:"shapes"`
	// Members are a supplement's additions to structures that the model has.
	Members map[string]ordered[*reference] `json:"members"`
}

type metadata struct {
	APIVersion          string           `json:"apiVersion"`
	EndpointPrefix      string           `json:"endpointPrefix"`
	GlobalEndpoint      string           `json:"globalEndpoint"`
	Protocol            string           `json:"protocol"`
	Protocols           []string         `json:"protocols"`
	JSONVersion         string           `json:"jsonVersion"`
	TargetPrefix        string           `json:"targetPrefix"`
	ServiceFullName     string           `json:"serviceFullName"`
	SigningName         string           `json:"signingName"`
	XMLNamespace        xmlNamespace     `json:"xmlNamespace"`
	AWSQueryCompatible  *json.RawMessage `json:"awsQueryCompatible"`
	ServiceAbbreviation string           `json:"serviceAbbreviation"`
}

// xmlNamespace is written as a string or as an object.
type xmlNamespace struct{ Prefix, URI string }

func (x *xmlNamespace) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &x.URI)
	}
	return json.Unmarshal(b, &struct {
		Prefix *string `json:"prefix"`
		URI    *string `json:"uri"`
	}{&x.Prefix, &x.URI})
}

type operation struct {
	Name string `json:"name"`
	HTTP struct {
		Method       string `json:"method"`
		RequestURI   string `json:"requestUri"`
		ResponseCode int    `json:"responseCode"`
	} `json:"http"`
	Input    *reference  `json:"input"`
	Output   *reference  `json:"output"`
	Errors   []reference `json:"errors"`
	AuthType string      `json:"authtype"`
	Auth     []string    `json:"auth"`
	// Compression lists the encodings that a body may be sent in.
	Compression struct {
		Encodings []string `json:"encodings"`
	} `json:"requestcompression"`
	Endpoint struct {
		HostPrefix string `json:"hostPrefix"`
	} `json:"endpoint"`
}

// reference is a use of a shape: a member, an element, an operation's input.
type reference struct {
	Shape           string       `json:"shape"`
	Location        string       `json:"location"`
	LocationName    string       `json:"locationName"`
	ResultWrapper   string       `json:"resultWrapper"`
	TimestampFormat string       `json:"timestampFormat"`
	Flattened       bool         `json:"flattened"`
	JSONValue       bool         `json:"jsonvalue"`
	Streaming       bool         `json:"streaming"`
	HostLabel       bool         `json:"hostLabel"`
	XMLAttribute    bool         `json:"xmlAttribute"`
	XMLNamespace    xmlNamespace `json:"xmlNamespace"`
	EventPayload    bool         `json:"eventpayload"`
	EventHeader     bool         `json:"eventheader"`
}

type shape struct {
	Type            string              `json:"type"`
	Members         ordered[*reference] `json:"members"`
	Required        []string            `json:"required"`
	Payload         string              `json:"payload"`
	Member          *reference          `json:"member"`
	Key             *reference          `json:"key"`
	Value           *reference          `json:"value"`
	Min             json.Number         `json:"min"`
	Max             json.Number         `json:"max"`
	Pattern         string              `json:"pattern"`
	Enum            []string            `json:"enum"`
	TimestampFormat string              `json:"timestampFormat"`
	LocationName    string              `json:"locationName"`
	XMLNamespace    xmlNamespace        `json:"xmlNamespace"`
	Flattened       bool                `json:"flattened"`
	Sparse          bool                `json:"sparse"`
	Sensitive       bool                `json:"sensitive"`
	Streaming       bool                `json:"streaming"`
	EventStream     bool                `json:"eventstream"`
	Event           bool                `json:"event"`
	Union           bool                `json:"union"`
	Document        bool                `json:"document"`
	Exception       bool                `json:"exception"`
	Fault           bool                `json:"fault"`
	Error           *struct {
		Code           string `json:"code"`
		HTTPStatusCode int    `json:"httpStatusCode"`
		SenderFault    bool   `json:"senderFault"`
	} `json:"error"`
}

// ordered is a JSON object that remembers the order of its keys.
type ordered[T any] struct {
	Keys   []string
	Values map[string]T
}

func (o *ordered[T]) UnmarshalJSON(b []byte) error {
	if o.Values == nil {
		o.Values = map[string]T{}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value T
		if err := d.Decode(&value); err != nil {
			return err
		}
		name := key.(string)
		if _, again := o.Values[name]; again {
			return fmt.Errorf("%s is defined twice", name)
		}
		o.Keys = append(o.Keys, name)
		o.Values[name] = value
	}
	return nil
}

// loadModel reads a service's model and, where there is one, our supplement of what it lacks.
func loadModel(models, supplements, service string) (*model, error) {
	var m model
	path, err := modelFile(models, service)
	if err != nil {
		return nil, err
	}
	if err := readJSON(path, &m); err != nil {
		return nil, err
	}
	supplement := filepath.Join(supplements, service+".json")
	if _, err := os.Stat(supplement); err == nil {
		if err := readJSON(supplement, &m); err != nil {
			return nil, err
		}
	}
	return &m, m.addMembers()
}

func (m *model) addMembers() error {
	for name, members := range m.Members {
		s, ok := m.Shapes.Values[name]
		if !ok {
			return fmt.Errorf("the supplement adds to %s, which is not there", name)
		}
		for _, member := range members.Keys {
			if _, ok := s.Members.Values[member]; ok {
				return fmt.Errorf("the supplement adds %s.%s, which the model has by now", name, member)
			}
			s.Members.Keys = append(s.Members.Keys, member)
			s.Members.Values[member] = members.Values[member]
		}
	}
	return nil
}
