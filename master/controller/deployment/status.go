package deployment

import (
	"fmt"
	"math"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// Reasons of the condition Progressing (pkg/controller/deployment/util).
const (
	reasonAvailable = "NewReplicaSetAvailable"
	reasonTimedOut  = "ProgressDeadlineExceeded"
	reasonPaused    = "DeploymentPaused"
)

// hasDeadline reports whether progress is watched. Kubernetes' largest number means that it isn't.
func (r *rollout) hasDeadline() bool {
	n := r.d.Spec.ProgressDeadlineSeconds
	return n != nil && *n != math.MaxInt32
}

// status works out the deployment's status from what its sets report. rolling says that the progress of a
// rollout is to be judged, too.
func (r *rollout) status(rolling bool) {
	before := r.was.Status
	s := &r.d.Status
	s.ObservedGeneration = r.d.Generation
	s.Replicas = sum(r.all, has)
	s.ReadyReplicas = sum(r.all, ready)
	s.AvailableReplicas = sum(r.all, available)
	s.UnavailableReplicas = max(sum(r.all, has)-s.AvailableReplicas, 0)
	s.UpdatedReplicas = 0
	if r.new != nil {
		s.UpdatedReplicas = r.new.Status.Replicas
	}
	if s.AvailableReplicas >= r.minAvailable() {
		r.set(appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.")
	} else {
		r.set(appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
	}
	r.failures()
	if !rolling {
		return
	}
	if !r.hasDeadline() {
		r.unset(appsv1.DeploymentProgressing)
		return
	}
	r.judge(&before)
}

// failures shows that a set can't create its pods: the new one, or else any.
func (r *rollout) failures() {
	r.unset(appsv1.DeploymentReplicaFailure)
	for _, rs := range append([]*replicas{r.new}, r.all...) {
		if rs == nil {
			continue
		}
		for _, c := range rs.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure {
				r.d.Status.Conditions = append(r.d.Status.Conditions, appsv1.DeploymentCondition{
					Type: appsv1.DeploymentReplicaFailure, Status: c.Status, Reason: c.Reason, Message: c.Message,
					LastTransitionTime: c.LastTransitionTime, LastUpdateTime: c.LastTransitionTime,
				})
				return
			}
		}
	}
}

// judge writes the condition Progressing: done, moving, or stuck for too long.
func (r *rollout) judge(before *appsv1.DeploymentStatus) {
	s := &r.d.Status
	current := r.condition(appsv1.DeploymentProgressing)
	if s.Replicas == s.UpdatedReplicas && current != nil && current.Reason == reasonAvailable {
		return // it was rolled out before: what happens to pods now is no lack of progress
	}
	subject := fmt.Sprintf("Deployment %q", r.d.Name)
	if r.new != nil {
		subject = fmt.Sprintf("ReplicaSet %q", r.new.Name)
	}
	switch {
	case r.complete():
		r.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonAvailable, subject+" has successfully progressed.")
	case progressed(before, s):
		since := metav1.Time{}
		if current != nil && current.Status == corev1.ConditionTrue {
			since = current.LastTransitionTime
		}
		r.unset(appsv1.DeploymentProgressing) // so that the time of the last update moves
		r.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, "ReplicaSetUpdated", subject+" is progressing.")
		if !since.IsZero() {
			r.condition(appsv1.DeploymentProgressing).LastTransitionTime = since
		}
	case r.timedOut(current):
		r.set(appsv1.DeploymentProgressing, corev1.ConditionFalse, reasonTimedOut, subject+" has timed out progressing.")
	}
	if c := r.condition(appsv1.DeploymentProgressing); c != nil {
		r.watch(c)
	}
}

// complete reports whether everything is as the deployment wants it.
func (r *rollout) complete() bool {
	return r.new != nil && r.new.Status.Replicas == r.replicas() && sum(r.all, has) == r.replicas() &&
		sum(r.all, available) == r.replicas()
}

func progressed(before, s *appsv1.DeploymentStatus) bool {
	return s.UpdatedReplicas > before.UpdatedReplicas ||
		s.Replicas-s.UpdatedReplicas < before.Replicas-before.UpdatedReplicas ||
		s.ReadyReplicas > before.ReadyReplicas || s.AvailableReplicas > before.AvailableReplicas
}

func (r *rollout) timedOut(current *appsv1.DeploymentCondition) bool {
	switch {
	case current == nil, current.Reason == reasonAvailable:
		return false
	case current.Reason == reasonTimedOut:
		return true
	}
	return r.now.Reached(r.deadline(current))
}

// deadline is when a rollout whose last progress a condition tells of has been stuck for too long, counted from
// when this planner first saw that condition.
func (r *rollout) deadline(c *appsv1.DeploymentCondition) clock.Now {
	k := r.known[r.rec.Key]
	if !k.progress.stamp.Equal(&c.LastUpdateTime) {
		k.progress = progress{stamp: c.LastUpdateTime, at: r.now}
		r.known[r.rec.Key] = k
	}
	return k.progress.at.Add(time.Duration(*r.d.Spec.ProgressDeadlineSeconds) * time.Second)
}

// watch asks to be called again when the deadline has come.
func (r *rollout) watch(c *appsv1.DeploymentCondition) {
	if c.Reason != reasonAvailable && c.Reason != reasonTimedOut {
		r.again = r.deadline(c)
	}
}

// pausing notes in the condition Progressing that the deployment has been paused or resumed, so that the time
// in between counts for nothing.
func (r *rollout) pausing() {
	current := r.condition(appsv1.DeploymentProgressing)
	if !r.hasDeadline() || current != nil && current.Reason == reasonTimedOut {
		return
	}
	paused := current != nil && current.Reason == reasonPaused
	switch {
	case r.d.Spec.Paused && !paused:
		r.set(appsv1.DeploymentProgressing, corev1.ConditionUnknown, reasonPaused, "Deployment is paused")
	case !r.d.Spec.Paused && paused:
		r.set(appsv1.DeploymentProgressing, corev1.ConditionUnknown, "DeploymentResumed", "Deployment is resumed")
	}
}

func (r *rollout) condition(kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range r.d.Status.Conditions {
		if r.d.Status.Conditions[i].Type == kind {
			return &r.d.Status.Conditions[i]
		}
	}
	return nil
}

func (r *rollout) set(kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) {
	now := metav1.NewTime(r.now.Wall.Truncate(time.Second))
	c := appsv1.DeploymentCondition{
		Type: kind, Status: status, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now,
	}
	if old := r.condition(kind); old != nil {
		if old.Status == status && old.Reason == reason {
			return
		}
		if old.Status == status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	r.unset(kind)
	r.d.Status.Conditions = append(r.d.Status.Conditions, c)
}

func (r *rollout) unset(kind appsv1.DeploymentConditionType) {
	kept := r.d.Status.Conditions[:0:0]
	for _, c := range r.d.Status.Conditions {
		if c.Type != kind {
			kept = append(kept, c)
		}
	}
	r.d.Status.Conditions = kept
}
