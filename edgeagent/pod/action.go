package pod

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Kind is what an action does.
type Kind string

// The kinds of action. Each may be repeated.
const (
	Prepare    Kind = "prepare"     // the pod's network
	Pull       Kind = "pull"        // make an image present
	Start      Kind = "start"       // a container
	Stop       Kind = "stop"        // a container, killing it at Deadline
	Remove     Kind = "remove"      // a container that has no process
	Release    Kind = "release"     // the pod's network
	Mount      Kind = "mount"       // make the pod's volumes what they are to be
	Unmount    Kind = "unmount"     // remove the pod's volumes
	Probe      Kind = "probe"       // ask a container; Result.Err says what is wrong with it
	RemoveLogs Kind = "remove-logs" // of the whole pod
	Cancel     Kind = "cancel"      // the action under way whose Key is Target
)

// Action is one thing to do for a pod, and why.
type Action struct {
	Kind   Kind
	PodUID string
	Reason string // for people and tests

	Container string       // Pull, Start, Stop, Remove
	Attempt   int          // likewise
	ID        string       // of the container: Start, Stop, Remove
	Image     string       // Pull
	Always    bool         // Pull: ask the registry even if the image is present
	Spec      *engine.Spec // Start
	Deadline  clock.Now    // Stop
	Host      bool         // Prepare: the pod uses the host's network
	// Ports are the containers' ports, of which the host's lead to the pod: Prepare, without Host.
	Ports  []corev1.ContainerPort
	Target string // Cancel

	Volumes  []Volume      // Mount
	SubPaths []SubPath     // Start: to bind before
	Probe    ProbeType     // Probe
	Call     *Call         // Probe; Start: the hook after it; Stop: the hook before it
	Grace    time.Duration // Start: for a container whose hook fails
	Before   clock.Now     // Start: not from then on, whenever its turn comes; zero: at any time
}

// Key names what an action is at work on. Of two actions with the same key only one is ever under way.
func (a Action) Key() string {
	switch a.Kind {
	case Stop, Remove:
		return string(a.Kind) + " " + a.ID
	case Cancel:
		return string(a.Kind) + " " + a.Target
	case Probe:
		return string(a.Kind) + " " + string(a.Probe) + " " + a.ID
	case Pull, Start:
		return string(a.Kind) + " " + a.PodUID + "/" + a.Container
	}
	return string(a.Kind) + " " + a.PodUID
}

// String is the action in one line, as logs and golden tests have it.
func (a Action) String() string {
	var b strings.Builder
	b.WriteString(string(a.Kind))
	switch a.Kind {
	case Pull:
		fmt.Fprintf(&b, " %s", a.Image)
		if a.Always {
			b.WriteString(" always")
		}
		fmt.Fprintf(&b, " for %s", a.Container)
	case Probe:
		fmt.Fprintf(&b, " %s of %s/%d", a.Probe, a.Container, a.Attempt)
	case Start, Stop, Remove:
		fmt.Fprintf(&b, " %s/%d", a.Container, a.Attempt)
		if a.Call != nil {
			b.WriteString(map[Kind]string{Start: " and postStart", Stop: " after preStop"}[a.Kind])
		}
	case Cancel:
		b.WriteString(" " + strings.Fields(a.Target)[0])
	}
	return b.String() + ": " + a.Reason
}

// Result is what became of an action.
type Result struct {
	Err     error
	HookErr error  // Start, Stop: the hook has failed; after Start the container was stopped for it
	GivenUp bool   // it was cancelled: Err says nothing about the pod
	Pulled  bool   // Pull: something was fetched; otherwise the image was present
	Digest  string // Pull
	NetPath string // Prepare
	IP      string // Prepare; may be empty
}

// Event is something to tell the user about.
type Event struct {
	Container string // empty: the pod itself
	Warning   bool
	Reason    string // Kubernetes' word
	Message   string
}
