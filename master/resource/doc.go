// Package resource is what the API knows of each kind it serves: where it is served, how it is stored, what is
// filled in, what is refused, what a table of it looks like, what it can be selected by.
//
//	request ─► decode ─► Default ─► PrepareCreate / PrepareUpdate ─► Validate ─► Encode ─► store
//	store ─► Decode ─► Columns, Row ─► kubectl
//
// One small file a kind fills in a Resource; registry.go lists them in the order of discovery. It is pure.
// Invariants: defaulting twice changes nothing; a field that Skerry does not act upon is refused by name, never
// ignored, unless it is zero or as Kubernetes itself defaults it; equal objects have equal encodings.
package resource
