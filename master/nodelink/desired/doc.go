// Package desired computes what each node shall run. A Book follows the store's pods, ConfigMaps and nodes,
// knows which nodes a write touched, and writes a node's document:
//
//	store events ─► Observe ─► Touched ─► Update(view, node) ─► message.Desired, if its content is new
//
// A document lists every pod that is bound to the node, also those that are being deleted and those that have
// finished, until they are gone from the store; of their status nothing but a final phase. A node that has no
// Node object has an explicitly empty document. Serials grow by one with each new content and start at 1 in
// every epoch, which a master draws at each start. The Book keeps digests, not documents: a document can always
// be written again from the view.
//
// The package is pure. Equal states have equal documents, whatever order the events came in.
package desired
