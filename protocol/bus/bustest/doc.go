// Package bustest is the contract of a bus.Bus as tests, for the in-memory broker and for real ones:
//
//	bustest.Run(t, func(t *testing.T) bustest.Connect { … })
//
// Real brokers are asynchronous, so the suite waits for what must come. What must not come is shown by what was
// sent after it and has come. Topics are unique to each run: a broker may be shared, and may remember.
package bustest
