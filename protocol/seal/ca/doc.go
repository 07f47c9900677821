// Package ca is a cluster's certificate authority: it signs the certificate that the API and the embedded broker
// show, and the client certificates of users.
//
//	New ─► Authority ─┬─ Server(names, now) ─► TLS certificate of a year, kept in memory, issued anew as needed
//	                  ├─ Client(user, groups, now) ─► certificate and key for the kubeconfig that a master writes
//	                  └─ SignClient(key, user, groups, lifetime, now) ─► certificate of a person
//
// Devices wake up in 1970, so the certificates of servers and of a master's own administrator are valid from the
// beginning of time as they know it, and the authority itself never ends; nodes pin the hash of its key and don't look
// at dates. The package is pure: the clock's reading and random bytes come in as arguments.
package ca
