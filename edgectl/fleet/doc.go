// Package fleet reads which sites (clusters) keep their state in one etcd, and how they are, without asking any of them: so
// it also says how a site was that is cut off.
//
//	etcd's HTTP gateway ─► Client ─► one site's keys ─► summarise (pure) ─► Site
//
// It reads master/etcdsync's layout: the names of clusters, meta, election, epoch, synced, masters/, alive/, and the nodes and
// pods of objects/, which are not encrypted. It reads nothing that is secret, and writes nothing. The gateway is part of etcd
// and speaks JSON, so that edgectl needs no client library for it.
package fleet
