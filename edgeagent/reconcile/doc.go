// Package reconcile makes the node's containers what the desired state says: gather, plan, do.
//
//	Accept, engine hints, finished work ─► inbox ─► Step: gather ─► plan ─► do ─► Executor ─► engine, network, volumes, probes
//	                                                          └─► disk (records), Statuses, TakeEvents
//
// It starts with the desired state on the disk, before and whether or not there is a master. Step never blocks
// on the engine: listing, pulling, starting and stopping are work for the Executor, and what becomes of it
// comes back as input. A pod about which something happened since the last listing was begun is left alone until
// the next, so nothing is decided on old news, and one slow pod holds up no other. While the engine is away
// statuses stay as they are; everything is listed again when it is back.
package reconcile
