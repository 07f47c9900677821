// Package gate lets connections into a server, within limits that a stranger can't use to keep others out.
//
//	Accept ─► unknown ─┬─ Welcome: the client has said who it is ─► known
//	                   └─ too many strangers: the oldest goes, first of those from the same place
//
// A connection whose client is not known yet is worth less than any new one: somebody who opens hundreds of them and
// says nothing pushes out their own, once they have had a little time. Known connections are never pushed out. Memory is
// bounded by MaxOpen.
package gate
