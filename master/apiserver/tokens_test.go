package apiserver

import (
	"math"
	"strings"
	"testing"
)

// A lifetime that is too long, or negative, is refused, also where a count of nanoseconds has no room for it: none
// becomes one that is good, or no end at all.
func TestBoundsOfATokenRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ask  NewTokenRequest
		says string
	}{
		"an hour":     {NewTokenRequest{TTLSeconds: 3600, Uses: 1}, ""},
		"for ever":    {NewTokenRequest{}, ""},
		"ten years":   {NewTokenRequest{TTLSeconds: 315_360_000}, ""},
		"longer":      {NewTokenRequest{TTLSeconds: 315_360_001}, "ttlSeconds: "},
		"longest":     {NewTokenRequest{TTLSeconds: math.MaxInt64}, "ttlSeconds: "},
		"negative":    {NewTokenRequest{TTLSeconds: -1}, "ttlSeconds: "},
		"wraps":       {NewTokenRequest{TTLSeconds: math.MinInt64}, "ttlSeconds: "}, // to 0 nanoseconds
		"wraps too":   {NewTokenRequest{TTLSeconds: -18_446_744_073}, "ttlSeconds: "},
		"many uses":   {NewTokenRequest{Uses: maxTokenUses + 1}, "uses: "},
		"a long text": {NewTokenRequest{Description: strings.Repeat("a", maxTokenDescription+1)}, "description: "},
	} {
		if err := c.ask.check(); (err == nil) != (c.says == "") || err != nil && !strings.HasPrefix(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
