// Package conformance plays a user's session with each client that is promised to work: edgectl, and Debian's
// kubectl 1.20, on the real binaries. Every command has its good answer and a wrong input with Kubernetes' words
// for it. It needs root, as test/e2e does, and the client that build/need-old-kubectl fetches.
package conformance
