package apiserver

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// limits bounds what is served at once. Who finds no place is told to come again, not kept waiting.
type limits struct {
	requests chan struct{}
	watches  chan struct{}
}

// retryAfter is what a client that finds no place is told to wait, in seconds.
const retryAfter = 1

func newLimits(requests, watches int) *limits {
	return &limits{requests: make(chan struct{}, requests), watches: make(chan struct{}, watches)}
}

// request takes a place for a request; the function returned gives it back.
func (l *limits) request() (func(), error) { return take(l.requests) }

// watch takes a place for a watch.
func (l *limits) watch() (func(), error) { return take(l.watches) }

func take(places chan struct{}) (func(), error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, apierrors.NewTooManyRequests("Too many requests, please try again later.", retryAfter)
	}
}
