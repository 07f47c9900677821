package pod

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/clock"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// Done takes note of what became of an action. That an engine was away, or that the action was given up, says
// nothing about the pod. The events that it gives come out with the next Decision.
func (m *Memory) Done(a Action, r Result, now clock.Now) {
	if r.GivenUp || errors.Is(r.Err, engine.ErrAway) {
		return
	}
	switch a.Kind {
	case Pull:
		m.pullDone(a, r, now)
		return
	case Start:
		m.startDone(a, r.Err, now)
		if r.HookErr != nil {
			m.say(a.Container, true, "FailedPostStartHook", "PostStartHook failed: "+r.HookErr.Error())
		}
		return
	case Prepare:
		if r.Err != nil {
			m.netProblem = r.Err.Error()
			m.say("", true, "FailedCreatePodSandBox", "Failed to prepare the pod's network: "+m.netProblem)
		} else {
			m.net, m.netProblem = &Network{Path: r.NetPath, IP: r.IP}, ""
		}
	case Probe:
		m.probeDone(a, r.Err)
		return
	case Mount:
		if r.Err != nil {
			m.say("", true, "FailedMount", r.Err.Error())
		} else {
			digest := digestOf(a.Volumes)
			m.mounted = &digest
		}
	case Unmount:
		if r.Err == nil {
			m.mounted = nil
		}
	case Release:
		if r.Err == nil {
			m.net = nil
		}
	case Stop:
		if r.HookErr != nil {
			m.say(a.Container, true, "FailedPreStopHook", "PreStopHook failed: "+r.HookErr.Error())
		}
		if r.Err != nil {
			m.say(a.Container, true, "FailedKillPod", "Failed to stop container "+a.Container+": "+r.Err.Error())
		}
	case RemoveLogs:
		m.logsGone = true // files that can't be removed must not hold up the pod
	}
	m.fail(a.Key(), r.Err != nil, now)
}

func (m *Memory) pullDone(a Action, r Result, now clock.Now) {
	mem := m.container(a.Container)
	m.fail(imageKey(a.Container), r.Err != nil, now)
	if r.Err == nil {
		mem.pulled, mem.imageID, mem.waiting, mem.message = a.Attempt+1, r.Digest, "", ""
		if r.Pulled {
			m.say(a.Container, false, "Pulled", fmt.Sprintf("Successfully pulled image %q", a.Image))
		} else {
			m.say(a.Container, false, "Pulled", fmt.Sprintf("Container image %q already present on machine", a.Image))
		}
		return
	}
	reason := "ErrImagePull"
	switch {
	case errors.Is(r.Err, engine.ErrWrongArch):
		reason = WrongArchitecture
	case errors.Is(r.Err, engine.ErrConfig):
		reason = "InvalidImageName"
	case mem.waiting == "ImagePullBackOff":
		reason = mem.waiting // nothing new to report at each try
	}
	m.say(a.Container, true, "Failed", fmt.Sprintf("Failed to pull image %q: %s", a.Image, r.Err))
	mem.waiting, mem.message = reason, r.Err.Error()
}

// WrongArchitecture is the waiting reason of a container whose image has nothing for this machine. Kubernetes
// has no word for it.
const WrongArchitecture = "ImageWrongArchitecture"

func (m *Memory) startDone(a Action, err error, now clock.Now) {
	mem := m.container(a.Container)
	m.fail(startKey(a.Container), err != nil, now)
	if err == nil {
		mem.waiting, mem.message = "", ""
		m.say(a.Container, false, "Created", "Created container "+a.Container)
		m.say(a.Container, false, "Started", "Started container "+a.Container)
		return
	}
	m.say(a.Container, true, "Failed", "Error: "+err.Error())
	mem.message = err.Error()
	switch {
	case errors.Is(err, engine.ErrNotFound):
		mem.pulled = 0 // it has been removed since
		mem.waiting = "ErrImagePull"
		if m.policyNever(a.Container) {
			mem.waiting = "ErrImageNeverPull"
		}
	case errors.Is(err, engine.ErrWrongArch):
		mem.waiting = WrongArchitecture
	case errors.Is(err, engine.ErrNonRoot):
		mem.waiting = "CreateContainerConfigError"
	case errors.Is(err, engine.ErrConfig):
		mem.waiting = "CreateContainerError"
	case errors.Is(err, engine.ErrStart):
		// As the kubelet has it, this was a run that ended at once; restartPolicy says what follows.
		delete(m.retries, startKey(a.Container))
		rec := m.record(a.Container)
		if rec.Ran {
			rec.Last = rec.Exit
		}
		rec.Ran, rec.Attempt, rec.Ends = true, a.Attempt, rec.Ends+1
		rec.Exit = &Exit{Code: 128, Reason: "StartError", Message: err.Error(), Finished: now.Wall.Unix(), ImageID: mem.imageID}
		m.setRecord(a.Container, rec)
		mem.waiting, mem.message = "", ""
	default:
		mem.waiting = "RunContainerError"
	}
}

func (m *Memory) policyNever(container string) bool {
	for _, list := range [][]corev1.Container{m.pod.Spec.InitContainers, m.pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == container {
				return shared.PullPolicy(&list[i]) == corev1.PullNever
			}
		}
	}
	return false
}
