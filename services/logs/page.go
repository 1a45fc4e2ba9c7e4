package logs

import (
	"encoding/base64"

	"hotaru/awsapi"
	api "hotaru/awsapi/logs"
)

// defaultPage is how many groups or streams a list has if the caller does not say.
const defaultPage = 50

// paginate cuts a list, whose places differ and are in its order, after the place that the token names. A token is
// opaque to callers and stays good when items come and go.
func paginate[T any](items []T, after func(item T, place string) bool, place func(T) string, token *string, limit *int32) ([]T, *string, error) {
	if token != nil {
		last, err := base64.RawURLEncoding.DecodeString(*token)
		if err != nil {
			return nil, nil, invalidToken()
		}
		start := 0
		for start < len(items) && !after(items[start], string(last)) {
			start++
		}
		items = items[start:]
	}
	size := defaultPage
	if limit != nil {
		size = int(*limit)
	}
	if len(items) <= size {
		return items, nil, nil
	}
	next := base64.RawURLEncoding.EncodeToString([]byte(place(items[size-1])))
	return items[:size], &next, nil
}

func invalidToken() error {
	return awsapi.Errorf(api.InvalidParameterException, "The specified nextToken is invalid.")
}
