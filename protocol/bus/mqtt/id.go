package mqtt

import (
	"strings"

	"github.com/skerry-edge/skerry/protocol"
)

// NodeClientID is the client id of a node. Ids are unique on a broker that several clusters share: names of
// clusters and nodes have no underscore.
func NodeClientID(cluster, node string) string { return "skerry_" + cluster + "_n_" + node }

// MasterClientID is the client id of a master.
func MasterClientID(cluster, master string) string { return "skerry_" + cluster + "_m_" + master }

// JoinClientID is the client id of an attempt to join.
func JoinClientID(cluster, id string) string { return "skerry_" + cluster + "_j_" + id }

// ParseJoinClientID is the attempt that a client id names, if it is one of the cluster's.
func ParseJoinClientID(cluster, clientID string) (id string, ok bool) {
	id, ok = strings.CutPrefix(clientID, JoinClientID(cluster, ""))
	return id, ok && protocol.CheckLevel(id) == nil
}
