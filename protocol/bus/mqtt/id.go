package mqtt

// NodeClientID is the client id of a node. Ids are unique on a broker that several clusters share: names of
// clusters and nodes have no underscore.
func NodeClientID(cluster, node string) string { return "skerry_" + cluster + "_n_" + node }

// MasterClientID is the client id of a master.
func MasterClientID(cluster, master string) string { return "skerry_" + cluster + "_m_" + master }
