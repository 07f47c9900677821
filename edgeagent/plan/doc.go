// Package plan says what a node has to do next:
//
//	(desired pods and configs, containers and networks listed, memories, actions under way, now)
//	    ─► actions with reasons, statuses, events, when to plan again
//
// It puts together what belongs to each pod, lets the pod's machine (package pod) decide, resolves environments
// and volumes into engine specs, and orders the actions of the whole node: what ends goes before what begins. Containers
// and networks that belong to no desired pod are taken down; but as long as no desired state has ever been
// there, nothing is touched. The package is pure, except that it updates the memories that it is given.
package plan
