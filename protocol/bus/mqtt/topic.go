package mqtt

import "strings"

// Matches reports whether a topic matches a filter, by section 4.7 of MQTT 3.1.1.
func Matches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") {
		return false // MQTT-4.7.2-1
	}
	for {
		level, restFilter, moreFilter := strings.Cut(filter, "/")
		if level == "#" {
			return true
		}
		name, restTopic, moreTopic := strings.Cut(topic, "/")
		if level != "+" && level != name {
			return false
		}
		if !moreTopic {
			return !moreFilter || restFilter == "#" // "a/#" matches "a": MQTT-4.7.1-2
		}
		if !moreFilter {
			return false
		}
		filter, topic = restFilter, restTopic
	}
}

// validFilter reports whether wildcards stand where they may.
func validFilter(filter string) bool {
	for {
		level, rest, more := strings.Cut(filter, "/")
		if len(level) > 1 && strings.ContainsAny(level, "+#") || level == "#" && more {
			return false
		}
		if !more {
			return true
		}
		filter = rest
	}
}

// NodeClientID is the client id of a node. Ids are unique on a broker that several clusters share: names of
// clusters and nodes have no underscore.
func NodeClientID(cluster, node string) string { return "skerry_" + cluster + "_n_" + node }

// MasterClientID is the client id of a master.
func MasterClientID(cluster, master string) string { return "skerry_" + cluster + "_m_" + master }
