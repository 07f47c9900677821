// Package storetest is the contract of a store.Store as tests. Every implementation runs it:
//
//	storetest.Run(t, func(t *testing.T, config store.Config) storetest.Store { … })
//
// Besides single behaviours it runs random operations against a reference so dumb that it is obviously right.
package storetest
