package iam

import (
	"encoding/base64"

	"hotaru/awsapi"
)

// defaultPage is how many items a list has if the caller does not say.
const defaultPage = 100

// page is a slice of a list, and where the next begins.
type page[T any] struct {
	items     []T
	truncated *bool
	marker    *string
}

// paginate cuts a list that is sorted by a unique name after the one that marker names. A marker is opaque to callers
// and stays good when items come and go.
func paginate[T any](items []T, name func(T) string, marker *string, maxItems *int32) (page[T], error) {
	size := defaultPage
	if maxItems != nil {
		size = int(*maxItems)
	}
	start := 0
	if marker != nil {
		after, err := base64.RawURLEncoding.DecodeString(*marker)
		if err != nil {
			return page[T]{}, awsapi.Errorf("ValidationError", "Invalid Marker.")
		}
		for start < len(items) && name(items[start]) <= string(after) {
			start++
		}
	}
	items = items[start:]
	if len(items) <= size {
		return page[T]{items: items, truncated: new(false)}, nil
	}
	last := base64.RawURLEncoding.EncodeToString([]byte(name(items[size-1])))
	return page[T]{items: items[:size], truncated: new(true), marker: &last}, nil
}
