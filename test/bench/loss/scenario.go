package main

import (
	"errors"
	"time"

	"github.com/skerry-edge/skerry/test/lab"
)

// scenario is a way to lose a node.
type scenario struct {
	letter, what string
	flags        []string      // of the master
	interval     time.Duration // of heartbeats
	policy       string        // of the workload
	runs         int
	budget       string
	lose, mend   func(*lab.Agent) error
}

var quick = []string{"--heartbeat-interval=1s", "--node-timeout=3s", "--suspect-timeout=2s"}

// cases are what is measured; the budgets are those of docs/benchmarks.md.
var cases = []scenario{
	{
		letter: "a", what: "packets dropped, 10 s/30 s", interval: 10 * time.Second, policy: "keep", runs: 30,
		budget: "≤ 33 s p99", lose: cut, mend: heal,
	},
	{
		letter: "b", what: "agent killed (its will is sent), 10 s/30 s/15 s", interval: 10 * time.Second, policy: "keep", runs: 30,
		budget: "≤ 18 s p99", lose: kill, mend: (*lab.Agent).Start,
	},
	{
		letter: "c", what: "packets dropped, 1 s/3 s", flags: quick, interval: time.Second, policy: "keep", runs: 30,
		budget: "≤ 4.5 s p99", lose: cut, mend: heal,
	},
	{
		letter: "d", what: "packets dropped, 1 s/3 s, policy stop", flags: quick, interval: time.Second, policy: "stop", runs: 30,
		budget: "about 6.5 s after the last grant", lose: cut, mend: heal,
	},
	{
		letter: "e", what: "packets dropped, 10 s/30 s, policy stop", interval: 10 * time.Second, policy: "stop", runs: 12,
		budget: "about 47 s after the last grant", lose: cut, mend: heal,
	},
}

func cut(a *lab.Agent) error  { return a.Host.Cut() }
func heal(a *lab.Agent) error { return a.Host.Heal() }
func kill(a *lab.Agent) error { return a.Kill() }

// place is what a fleet is made of, and where.
type place struct{ bin, archives, socket, dir string }

// manifest is the workload: one pod, which ends at once when it is told to.
func (s scenario) manifest() string {
	return `{apiVersion: apps/v1, kind: Deployment, metadata: {name: tide}, spec: {replicas: 1,
		strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}, selector: {matchLabels: {app: tide}},
		template: {metadata: {labels: {app: tide}, annotations: {skerry.dev/partition-policy: ` + s.policy + `}},
		spec: {terminationGracePeriodSeconds: 1, containers: [{name: tide, image: "skerry.test/probe:1", args: [sleep]}]}}}}`
}

var errInterrupted = errors.New("interrupted")
