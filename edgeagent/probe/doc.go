// Package probe asks containers whether they are well, and calls their hooks: a command in the container, an HTTP
// request or a TCP connection to the pod's address, or a pause. It answers the machine of package pod, which alone
// decides what follows from an answer. The rules are the kubelet's: a status from 200 to 399 is well, certificates
// are not verified, and a redirect to another host is not followed.
package probe
