package audit

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Entry is one line: who did what. It holds nothing of what was sent but the names of objects.
type Entry struct {
	Time        time.Time `json:"time"`
	ID          string    `json:"id"` // of the request; the answer has it in the header Audit-Id
	User        string    `json:"user,omitempty"`
	UID         string    `json:"uid,omitempty"`
	Groups      []string  `json:"groups,omitempty"`
	Credential  string    `json:"credential,omitempty"` // which certificate or token it was
	Source      string    `json:"source,omitempty"`     // address
	Verb        string    `json:"verb"`
	Group       string    `json:"group,omitempty"` // of the API
	Resource    string    `json:"resource,omitempty"`
	Subresource string    `json:"subresource,omitempty"`
	Namespace   string    `json:"namespace,omitempty"`
	Name        string    `json:"name,omitempty"`
	Path        string    `json:"path,omitempty"` // where there is no resource; without the query
	DryRun      bool      `json:"dryRun,omitempty"`
	Code        int       `json:"code"`             // of the answer; 0: the client was gone
	Reason      string    `json:"reason,omitempty"` // why somebody was not let in
	// Repeated is how often the same was refused or read since its last line.
	Repeated int `json:"repeated,omitempty"`

	// Often says that the same may happen very often, and is written once in a while.
	Often bool `json:"-"`
}

// maxText bounds each text of an entry, maxTexts the groups.
const (
	maxText  = 512
	maxTexts = 32
)

// line is the entry as it is written.
func (e Entry) line() ([]byte, error) {
	for _, text := range []*string{&e.User, &e.UID, &e.Credential, &e.Source, &e.Verb, &e.Group, &e.Resource, &e.Subresource, &e.Namespace, &e.Name, &e.Path, &e.Reason} {
		*text = cut(*text)
	}
	groups := make([]string, 0, min(len(e.Groups), maxTexts))
	for _, g := range e.Groups[:cap(groups)] {
		groups = append(groups, cut(g))
	}
	e.Groups = groups
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	line, err := json.Marshal(e)
	return append(line, '\n'), err
}

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// same is what makes two entries repetitions of each other.
func (e Entry) same() string {
	key, _ := json.Marshal([]any{e.User, e.Source, e.Verb, e.Group, e.Resource, e.Subresource, e.Namespace, e.Name, e.Path, e.Code})
	return string(key)
}
