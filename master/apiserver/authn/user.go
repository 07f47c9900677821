package authn

import (
	"strings"
)

// User is who sent a request.
type User struct {
	Name   string
	UID    string // of a service account
	Groups []string
	Extra  map[string][]string
}

// Refusal is why what somebody showed, which is genuine, is no longer good: its words are for them. Whoever shows
// something else learns nothing.
type Refusal struct{ Why string }

func (r Refusal) Error() string { return "Unauthorized: " + r.Why }

// groupAccounts is the group of all service accounts; those of a namespace are in one with its name behind it too.
const groupAccounts = "system:serviceaccounts"

// accountUser is the user name of a service account.
func accountUser(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

// credentialID is the extra that tells one certificate or token of a user from another, as in Kubernetes.
const credentialID = "authentication.kubernetes.io/credential-id"

// Reserved reports whether a name of a user or group is the system's own, which nobody's certificate may have.
func Reserved(name string) bool { return strings.HasPrefix(name, "system:") }
