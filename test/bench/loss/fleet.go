package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/test/lab"
)

// patience is how long a step may take on a busy machine.
const patience = 3 * time.Minute

// fleet is a master and three nodes: losing one of them is no mass failure.
type fleet struct {
	scenario
	lab    *lab.Lab
	master *lab.Master
	api    *lab.API
	agents map[string]*lab.Agent
}

// measure makes a fleet, loses nodes of it, and returns how long the workload was away each time.
func (s scenario) measure(ctx context.Context, at place, runs int) (times []time.Duration, err error) {
	if err := os.MkdirAll(at.dir, 0o700); err != nil {
		return nil, err
	}
	f := &fleet{scenario: s, agents: map[string]*lab.Agent{}}
	if f.lab, err = lab.New(lab.Config{Bin: at.bin, Dir: at.dir, Containerd: at.socket}); err != nil {
		return nil, err
	}
	defer func() {
		for _, a := range f.agents {
			err = errors.Join(err, a.EndContainers())
		}
		err = errors.Join(err, f.lab.Close())
	}()
	if err := f.start(at.archives); err != nil {
		return nil, err
	}
	for range runs {
		if ctx.Err() != nil {
			return times, errInterrupted
		}
		took, err := f.lose(ctx)
		if err != nil {
			return times, err
		}
		fmt.Fprintf(os.Stderr, "%s  %s: %.2f s\n", s.letter, s.what, took.Seconds())
		times = append(times, took)
	}
	return times, nil
}

func (f *fleet) start(archives string) error {
	host, err := f.lab.AddHost("master")
	if err != nil {
		return err
	}
	if f.master, err = f.lab.StartMaster(host, f.flags...); err != nil {
		return err
	}
	token, err := f.master.JoinToken(patience)
	if err != nil {
		return err
	}
	for i := range 3 {
		name := fmt.Sprintf("node-%d", i+1)
		host, err := f.lab.AddHost(name)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(f.lab.Dir, name), 0o700); err != nil {
			return err
		}
		if err := os.CopyFS(filepath.Join(f.lab.Dir, name, "images"), os.DirFS(archives)); err != nil {
			return err
		}
		if f.agents[name], err = f.lab.StartAgent(host, token); err != nil {
			return err
		}
	}
	if f.api, err = f.master.API(); err != nil {
		return err
	}
	if err := f.untilAllReady(); err != nil {
		return err
	}
	_, err = f.master.KubectlInput(f.manifest(), "apply", "-f", "-")
	return err
}

// lose loses the node of the workload, and brings it back.
func (f *fleet) lose(ctx context.Context) (time.Duration, error) {
	pod, err := f.untilRuns("")
	if err != nil {
		return 0, err
	}
	// The node's next heartbeat may be near or far.
	select {
	case <-ctx.Done():
		return 0, errInterrupted
	case <-time.After(rand.N(f.interval)):
	}
	agent := f.agents[pod.Spec.NodeName]
	begin := time.Now()
	if err := f.scenario.lose(agent); err != nil {
		return 0, err
	}
	if _, err := f.untilRuns(pod.Spec.NodeName); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	if err := f.mend(agent); err != nil {
		return took, err
	}
	if err := f.untilAllReady(); err != nil {
		return took, err
	}
	_, err = lab.Until("the old copy is gone", patience, func() (bool, string) {
		tasks, err := agent.Tasks()
		return err == nil && len(tasks) == 0, fmt.Sprint(tasks, err)
	})
	return took, err
}

// untilRuns waits until the workload runs, on another node than that, and returns its pod.
func (f *fleet) untilRuns(not string) (pod corev1.Pod, err error) {
	_, err = lab.Until("the workload runs elsewhere than on "+not, patience, func() (bool, string) {
		pods, err := f.api.Pods("app=tide")
		if err != nil || len(pods) == 0 {
			return false, fmt.Sprint(len(pods), err)
		}
		for _, p := range pods {
			if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil && p.Spec.NodeName != not {
				pod = p
				return true, ""
			}
		}
		return false, fmt.Sprintf("%s on %s", pods[0].Status.Phase, pods[0].Spec.NodeName)
	})
	return pod, err
}

func (f *fleet) untilAllReady() error {
	_, err := lab.Until("three nodes are Ready", patience, func() (bool, string) {
		nodes, err := f.api.Nodes()
		ready := 0
		for _, n := range nodes {
			for _, c := range n.Status.Conditions {
				if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		return ready == 3, fmt.Sprint(ready, err)
	})
	return err
}
