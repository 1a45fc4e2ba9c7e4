package iam

import (
	"context"

	"hotaru/store"
)

// Written tells when the next use of an access key has been stored.
func (s *Service) Written(ctx context.Context) <-chan error {
	written := make(chan error, 1)
	watching, stop := context.WithCancel(ctx)
	synced := make(chan struct{})
	go func() {
		defer stop()
		for event, err := range s.state.Watch(watching, store.NewPrefix(kindKeyUse), 0) {
			switch {
			case err != nil:
				written <- err
				return
			case event.Synced:
				close(synced)
			default:
				written <- nil
				return
			}
		}
	}()
	<-synced
	return written
}
