// Package engine says what runs containers on a node: list, pull, start, stop, remove, and hints that
// something happened. Package containerd is the real one, fake the one of the simulation; enginetest is the
// contract, run on both.
//
// The engine keeps the truth about what runs; the agent keeps none of its own and asks again after every
// doubt. Nothing here knows pods, restarts or policies: package pod decides, this does.
package engine
