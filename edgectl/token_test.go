package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// The list says of each token whether it is still good, and until when.
func TestTokenList(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	made := now.Add(-90 * time.Minute)
	var out bytes.Buffer
	err := printTokens(&out, []token{
		{ID: "00000001", Created: made, Expires: now.Add(22*time.Hour + 30*time.Minute), Uses: 5, Used: 2, Description: "third floor"},
		{ID: "00000002", Created: made, Used: 7},
		{ID: "00000003", Created: made, Expires: now.Add(-30 * time.Minute), Uses: 1, State: "expired"},
		{ID: "00000004", Created: made, Uses: 1, Used: 1, State: "used_up"},
		{ID: "00000005", Created: made, Uses: 1, State: "revoked", ForMaster: true},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.TrimRight(line, " \n"))
	}
	want := []string{
		"ID         FOR       STATE     USED       EXPIRES   AGE   DESCRIPTION",
		"00000001   nodes     good      2 of 5     in 22h    90m   third floor",
		"00000002   nodes     good      7 of any   never     90m",
		"00000003   nodes     expired   0 of 1     30m ago   90m",
		"00000004   nodes     used up   1 of 1     never     90m",
		"00000005   masters   revoked   0 of 1     never     90m",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	if err := printTokens(&out, nil, now); err != nil || !strings.Contains(out.String(), "edgectl token create makes one") {
		t.Errorf("without tokens: %q, %v", out.String(), err)
	}
}

// A new token is printed as what one does with it, or alone; an answer without one is none.
func TestTokenPrinted(t *testing.T) {
	answer := `{"id":"00000001","token":"sk1.abc"}` + "\n"
	for output, want := range map[string]string{"line": "skerry-agent --join sk1.abc\n", "token": "sk1.abc\n", "json": answer} {
		var out bytes.Buffer
		if err := printToken(genericiooptions.IOStreams{Out: &out}, []byte(answer), output); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v", output, out.String(), err)
		}
	}
	for _, answer := range []string{`{"id":"00000001"}`, "garbage", ""} {
		var out bytes.Buffer
		if err := printToken(genericiooptions.IOStreams{Out: &out}, []byte(answer), "line"); err == nil || out.Len() > 0 {
			t.Errorf("%q: %q, %v", answer, out.String(), err)
		}
	}
}
