// Package nodekey is the Planner that revokes the keys of nodes whose Node was deleted.
//
//	Node object ◄─ uid ─ key;   the object is gone, or is another one ─► the key is revoked
//
// A key without a uid belongs to a node that has joined and not reported yet. A revoked key stays, so that its agent
// can be told; the name is free for another one. nodelink writes the uid in the commit that makes the object, so that
// no deletion is missed, whatever crashes in between.
//
// Invariants: a revoked key stays revoked until the name joins again, and planning again returns nothing.
package nodekey
