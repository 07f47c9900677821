// Package server makes a master of its parts: it opens the data directory, makes the cluster's keys at the first
// start, and runs store, planners, API, broker, bus and the link to the nodes until its context ends.
//
//	New: directory ─► store (locks it) ─► cluster.pem ─► listeners ─► parts     nothing runs yet, nothing is logged
//	Run: seed ─► admin.kubeconfig, join-token ─► all loops ─► context ends ─► all loops end ─► store closes
//
// The data directory holds, besides the store's files: cluster.pem (the secret keys and the certificate authority),
// serviceaccounts.pem, recovery.pub (for whom backups are sealed), admin.kubeconfig and join-token, all of mode 0600.
// keyFiles says which of them another master needs. The server's own certificate is kept in
// memory only and made anew as its time or the machine's addresses require. Whatever can fail for a reason that a
// user can mend fails in New, in one line.
package server
