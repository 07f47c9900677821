package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// A database that does not answer, or answers with anything else, is no database: nothing is checked, which is an
// error only where it has to be checked.
func TestWithoutADatabase(t *testing.T) {
	empty := httptest.NewServer(http.NotFoundHandler())
	defer empty.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, database := range []string{empty.URL, gone.URL, "file://" + t.TempDir()} {
		t.Setenv("GOVULNDB", database)
		if err := run(true); err == nil {
			t.Errorf("%s: it passes when it must not", database)
		}
		if err := run(false); err != nil {
			t.Errorf("%s: %v", database, err)
		}
	}
}
