package pod_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/pod"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each scenario is a story: lines with -- are what happens, == the status that is reported, the others are
// the machine's actions with their reasons.
var scenarios = map[string]func(w *world){
	"a pod starts, in order": func(w *world) {
		w.desire = newPod(corev1.RestartPolicyAlways, "init:prepare", "side:proxy", "app", "helper")
		w.settle().shows().ends("prepare", 0).settle().shows()
	},
	"a failing container waits longer each time": func(w *world) {
		w.settle()
		w.ends("app", 1).settle().shows()
		for range 7 {
			w.ends("app", 1).settle().shows()
			w.pass(w.last.Next.Since(w.now)).settle()
		}
		w.pass(11*time.Minute).settle().ends("app", 1).settle().shows()
	},
	"restartPolicy OnFailure restarts failures only": func(w *world) {
		w.desire = newPod(corev1.RestartPolicyOnFailure, "app")
		w.settle().ends("app", 3).settle().shows().ends("app", 0).settle().shows()
	},
	"restartPolicy Never restarts nothing": func(w *world) {
		w.desire = newPod(corev1.RestartPolicyNever, "app", "helper")
		w.settle().ends("app", 0).settle().shows().ends("helper", 2).settle().shows()
	},
	"a failed init container fails a pod that never restarts": func(w *world) {
		w.desire = newPod(corev1.RestartPolicyNever, "init:prepare", "app")
		w.settle().ends("prepare", 1).settle().shows()
	},
	"sidecars end after a pod that has run to its end": func(w *world) {
		w.desire = newPod(corev1.RestartPolicyNever, "side:proxy", "app")
		w.settle().ends("proxy", 1).settle().ends("app", 0).settle().shows()
	},
	"an image that can't be pulled": func(w *world) {
		w.pullErr["app:1"] = errRegistry
		w.settle().shows()
		for range 3 {
			w.pass(w.last.Next.Since(w.now)).settle().shows()
		}
		delete(w.pullErr, "app:1")
		w.pass(w.last.Next.Since(w.now)).settle().shows()
	},
	"an image for another machine": func(w *world) {
		w.pullErr["app:1"] = fmt.Errorf("pull app:1: %w", engine.ErrWrongArch)
		w.settle().shows()
	},
	"one container without image does not hold up the other": func(w *world) {
		w.desire = newPod(corev1.RestartPolicyAlways, "app", "helper")
		w.pullErr["app:1"] = errRegistry
		w.settle().shows()
	},
	"a ConfigMap is missing, then there": func(w *world) {
		w.configErr = errors.New(`configmap "settings" not found`)
		w.settle().shows()
		w.configErr = nil
		w.settle().shows()
	},
	"a command that does not exist": func(w *world) {
		w.startErr["app"] = fmt.Errorf("exec /no: %w", engine.ErrStart)
		w.settle().shows()
	},
	"a command that does not exist, and no restart": func(w *world) {
		w.desire = newPod(corev1.RestartPolicyNever, "app")
		w.startErr["app"] = fmt.Errorf("exec /no: %w", engine.ErrStart)
		w.settle().shows()
	},
	"the engine can't create the container": func(w *world) {
		w.startErr["app"] = fmt.Errorf("bad mount: %w", engine.ErrConfig)
		w.settle().shows()
		w.startErr["app"] = errors.New("no space left on device")
		w.pass(10 * time.Second).settle().shows()
	},
	"an agent restart touches nothing": func(w *world) {
		w.settle().ends("app", 1).settle().agentRestarts().settle().shows()
	},
	"a back-off outlives the agent": func(w *world) {
		w.settle().ends("app", 1).settle().ends("app", 1).settle().agentRestarts().settle().shows()
	},
	"after a reboot everything runs again, init containers first": func(w *world) {
		w.desire = newPod(corev1.RestartPolicyAlways, "init:prepare", "app")
		w.settle().ends("prepare", 0).settle().reboots().settle().shows().ends("prepare", 0).settle().shows()
	},
	"a reboot forgives earlier failures": func(w *world) {
		w.settle().ends("app", 1).settle().ends("app", 1).settle().reboots().settle().shows()
	},
	"after a reboot a pod that never restarts has failed": func(w *world) {
		w.desire = newPod(corev1.RestartPolicyNever, "app")
		w.settle().reboots().settle().shows()
	},
	"after a reboot a completed pod stays completed": func(w *world) {
		w.desire = newPod(corev1.RestartPolicyOnFailure, "init:prepare", "app")
		w.settle().ends("prepare", 0).settle().ends("app", 0).settle()
		w.containers = nil // even if the engine has lost all
		w.reboots().settle().shows()
	},
	"a container that was removed behind the agent's back": func(w *world) {
		w.settle()
		w.containers = nil
		w.settle().shows()
	},
	"a deleted pod stops and goes": func(w *world) {
		w.desire = newPod(corev1.RestartPolicyAlways, "side:one", "side:two", "app")
		w.settle().deleted(30).settle().shows()
	},
	"a pod that is not desired any more goes, too": func(w *world) {
		w.settle()
		w.desire = nil
		w.note("-- the pod vanishes from the desired state")
		w.settle().shows()
	},
	"containers of a pod that nobody knows": func(w *world) {
		w.settle().agentRestarts()
		w.desire, w.memory.Record.Containers = nil, nil
		w.settle().shows()
	},
	"deletion gives up a pull": func(w *world) {
		w.decide()
		w.finish(w.doing[0]) // network
		w.decide()
		w.deleted(30).settle().shows()
	},
	"a second deletion shortens the grace": func(w *world) {
		w.settle().deleted(300).decide()
		w.pass(time.Second).deleted(0).settle().shows()
	},
	"a changed image replaces the container": func(w *world) {
		w.settle()
		w.desire = w.desire.DeepCopy()
		w.desire.Spec.Containers[0].Image = "app:2"
		w.settle().shows()
	},
	"a pod that comes back after it was to go": func(w *world) {
		w.settle()
		kept := w.desire
		w.desire = nil
		w.decide()
		w.desire = kept
		w.settle().settle().shows()
	},
	"a startup probe holds back the others": func(w *world) {
		probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"x"}}}, PeriodSeconds: 5, FailureThreshold: 3}
		c := &w.desire.Spec.Containers[0]
		c.StartupProbe, c.LivenessProbe, c.ReadinessProbe = probe, probe, probe
		w.probeErr[pod.Startup] = errProbe
		w.settle().shows()
		delete(w.probeErr, pod.Startup)
		w.pass(5 * time.Second).settle().shows()
		w.agentRestarts().settle().shows()
	},
	"a container that fails its liveness probe is restarted": func(w *world) {
		w.desire.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
		grace := int64(3)
		w.desire.Spec.Containers[0].LivenessProbe = &corev1.Probe{
			ProbeHandler:        corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"x"}}},
			InitialDelaySeconds: 20, PeriodSeconds: 10, FailureThreshold: 2, TerminationGracePeriodSeconds: &grace,
		}
		w.probeErr[pod.Liveness] = errProbe
		w.settle().shows().pass(20 * time.Second).settle().pass(10 * time.Second).settle().shows()
	},
	"readiness needs a row of answers": func(w *world) {
		w.desire.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"x"}}},
			PeriodSeconds: 1, SuccessThreshold: 2, FailureThreshold: 2,
		}
		w.settle().shows().pass(time.Second).settle().shows()
		w.probeErr[pod.Readiness] = errProbe
		w.pass(time.Second).settle().shows().pass(time.Second).settle().shows().pass(time.Second).settle()
	},
	"a sidecar with a startup probe holds back the containers": func(w *world) {
		w.desire = newPod(corev1.RestartPolicyAlways, "side:proxy", "app")
		w.desire.Spec.InitContainers[0].StartupProbe = &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"x"}}}, PeriodSeconds: 1, FailureThreshold: 9}
		w.probeErr[pod.Startup] = errProbe
		w.settle().shows()
		delete(w.probeErr, pod.Startup)
		w.pass(time.Second).settle().shows()
	},
	"a preStop hook is called once": func(w *world) {
		w.desire.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}}}
		w.settle().deleted(30).decide()
		w.pass(time.Second).deleted(10).decide()
		w.settle().shows()
	},
	"volumes come first, follow what changes, and go last": func(w *world) {
		w.desire.Spec.Volumes = []corev1.Volume{{Name: "keys"}}
		w.volumeErr = errors.New(`MountVolume.SetUp failed for volume "keys" : secret "keys" not found`)
		w.settle().shows()
		w.volumeErr = nil
		w.volumes = []pod.Volume{{Name: "keys", Kind: pod.FileVolume, Files: []pod.File{{Path: "a", Data: []byte("hush")}}}}
		w.settle().shows()
		w.volumes = []pod.Volume{{Name: "keys", Kind: pod.FileVolume, Files: []pod.File{{Path: "a", Data: []byte("psst")}}}}
		w.settle().shows()
		w.volumeErr = errors.New("the secret has gone")
		w.settle().shows().deleted(30).settle().shows()
	},
	"volumes of a pod that nobody knows are removed": func(w *world) {
		w.desire, w.mounted = nil, true
		w.settle().shows()
	},
	"an image that was removed is fetched again": func(w *world) {
		w.startErr["app"] = fmt.Errorf("start: %w", engine.ErrNotFound)
		w.settle()
		delete(w.startErr, "app")
		w.pass(10 * time.Second).settle().shows()
	},
}

func TestScenarios(t *testing.T) {
	for name, play := range scenarios {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newPod(corev1.RestartPolicyAlways, "app"))
			play(w)
			got := strings.Join(w.trace, "\n") + "\n"
			path := filepath.Join("testdata", strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(name)+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
