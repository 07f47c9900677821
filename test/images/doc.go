// Package images makes the container images of tests and demo on the machine itself, without a registry:
// probe, a small static Go program that does what a test asks of it (see probe/main.go), and busybox, from
// Debian's busybox-static. They are packed as archives that `images/` of an agent's data directory, docker
// load and ctr import take.
//
// An image for one platform becomes a docker archive, one for several an OCI layout with an index. Times in
// them are fixed, so that the same program gives the same digest.
package images
