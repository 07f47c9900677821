package apiserver

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// compressFrom is the size from which answers are compressed, as Kubernetes has it: below, the processor time
// costs more than the bytes.
const compressFrom = 128 << 10

// answer is the body of a response: small ones get a Content-Length, large ones are compressed on the way when
// the client can read that. It must be closed.
type answer struct {
	w      http.ResponseWriter
	code   int
	gzip   bool      // the client reads gzip
	held   []byte    // what has been written, while it is still small
	out    io.Writer // where the rest goes, once it is large
	timely func()    // ends the client's deadline
}

func newAnswer(w http.ResponseWriter, r *http.Request, code int, contentType string) *answer {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-cache, private")
	header.Add("Vary", "Accept-Encoding")
	return &answer{w: w, code: code, gzip: acceptsGzip(r), timely: hurry(w)}
}

// hurry gives the client writeTimeout to take what is written until the function returned is called; then the
// connection has all the time again, for HTTP/2 ends a stream whose deadline passes even when nothing is being
// written. A deadline is no decision of ours and uses the wall clock like all of package net. A connection that
// can't have one, as in a test, goes without.
func hurry(w http.ResponseWriter) (done func()) {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
	return func() { _ = control.SetWriteDeadline(time.Time{}) }
}

func acceptsGzip(r *http.Request) bool {
	for _, clause := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(clause), ";")
		if name == "gzip" && strings.TrimSpace(params) != "q=0" {
			return true
		}
	}
	return false
}

func (a *answer) Write(p []byte) (int, error) {
	if a.out == nil {
		if len(a.held)+len(p) < compressFrom {
			a.held = append(a.held, p...)
			return len(p), nil
		}
		if err := a.begin(); err != nil {
			return 0, err
		}
	}
	return a.out.Write(p)
}

// begin sends the header and what is held, now that the answer is known to be large.
func (a *answer) begin() error {
	a.out = a.w
	if a.gzip {
		a.w.Header().Set("Content-Encoding", "gzip")
		z, err := gzip.NewWriterLevel(a.w, gzip.BestSpeed)
		if err != nil {
			return fmt.Errorf("compress the answer: %w", err)
		}
		a.out = z
	}
	a.w.WriteHeader(a.code)
	_, err := a.out.Write(a.held)
	a.held = nil
	return err
}

// close sends what is left.
func (a *answer) close() {
	defer a.timely()
	if a.out == nil {
		a.w.Header().Set("Content-Length", strconv.Itoa(len(a.held)))
		a.w.WriteHeader(a.code)
		_, _ = a.w.Write(a.held)
		return
	}
	if z, ok := a.out.(*gzip.Writer); ok {
		_ = z.Close()
	}
}
