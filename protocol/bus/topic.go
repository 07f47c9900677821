package bus

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Matches reports whether a topic matches a filter, by section 4.7 of MQTT 3.1.1.
func Matches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") {
		return false // MQTT-4.7.2-1
	}
	for {
		want, filterRest, filterMore := strings.Cut(filter, "/")
		if want == "#" {
			return true
		}
		have, topicRest, topicMore := strings.Cut(topic, "/")
		if want != "+" && want != have {
			return false
		}
		if !topicMore {
			return !filterMore || filterRest == "#" // "a/#" matches "a" too
		}
		if !filterMore {
			return false
		}
		filter, topic = filterRest, topicRest
	}
}

// CheckPublish says why no broker would take a message.
func CheckPublish(topic string, payload []byte, qos byte) error {
	switch {
	case !isName(topic):
		return fmt.Errorf("publish: %.80q is no MQTT topic", topic)
	case strings.ContainsAny(topic, "+#"):
		return fmt.Errorf("publish to %q: a topic has no wildcards", topic)
	case qos > 1:
		return fmt.Errorf("publish to %s: QoS %d is not used here", topic, qos)
	case len(payload) > MaxPayload:
		return fmt.Errorf("publish to %s: %d bytes are more than the %d that a message may have", topic, len(payload), MaxPayload)
	}
	return nil
}

// CheckFilter says why no broker would take a subscription.
func CheckFilter(filter string, qos byte) error {
	if !isName(filter) {
		return fmt.Errorf("subscribe: %.80q is no MQTT filter", filter)
	}
	if qos > 1 {
		return fmt.Errorf("subscribe to %s: QoS %d is not used here", filter, qos)
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if len(level) > 1 && strings.ContainsAny(level, "+#") || level == "#" && i < len(levels)-1 {
			return fmt.Errorf("subscribe to %q: a wildcard must be a whole level, and # the last one", filter)
		}
	}
	return nil
}

func isName(s string) bool {
	return s != "" && len(s) < 1<<16 && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
