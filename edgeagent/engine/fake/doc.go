// Package fake is an engine that runs nothing: it keeps what a container engine keeps, and answers from its
// clock which containers run, have ended or are lost. It serves the simulation, tests, and an agent started
// with --engine fake.
//
// One Engine is the machine's engine: it outlives the agents that use it, as containerd does, and Reboot ends
// everything at once. Containers behave as the words of package enginetest say, or as their Image does.
//
// With the real clock calls block as long as they last. With Config.Sleep time is virtual: a call does at
// once what it does, dated to when it is due, tells Sleep how long it lasted, and returns; the simulation
// delivers its completion that much later. Nothing in here is random, and lists are sorted.
package fake
