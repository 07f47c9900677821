// Package authn decides who sent a request: a person, by a client certificate of the cluster's authority, or a service
// account, by a token of its own.
//
//	certificate ─► Signed (once a connection) ─► Person(now) ─┐
//	token ─► Tokens.User(view, now) ──────────────────────────┴─► User, or why not
//
// It is pure. A token is a JSON Web Token of one algorithm, Ed25519, whose header is compared as a whole with the one
// that this package writes: what else a header could say is never looked at. A token is worth as much as the account
// that it names, and the object that it is bound to, are there with the same uid.
//
// Time. What the clock says to have ended has ended. A clock that was not set shows 1970, when nothing has ended yet: so
// nobody is locked out of a device without a clock, and what should have ended works there until the clock is set. What
// begins later than a clock shows that may have been set was made by a clock that ran ahead, and is refused.
package authn
