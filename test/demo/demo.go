package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/skerry-edge/skerry/test/hostenv"
	"github.com/skerry-edge/skerry/test/images"
	"github.com/skerry-edge/skerry/test/lab"
)

// patience is how long a step may take on a slow machine; nothing is supposed to take so long.
const patience = 90 * time.Second

// demo is the fleet and the story about it.
type demo struct {
	*story
	bin, dir string
	quick    bool // short intervals instead of the defaults
	facts    []string

	containerd *hostenv.Containerd
	lab        *lab.Lab
	master     *lab.Master
	agents     map[string]*lab.Agent
	lost       string // the node that is cut off
}

// manifest is the Deployment of the demo, as a user would write it.
const manifest = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: tide
spec:
  replicas: 3
  selector:
    matchLabels: {app: tide}
  template:
    metadata:
      labels: {app: tide}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: tide
        image: skerry.test/probe:1
        args: [lines, "0", 1s]
        resources:
          limits: {memory: 32Mi}
`

// tell is the story.
func (d *demo) tell() error {
	for _, step := range []struct {
		title string
		run   func() error
	}{
		{"Prepare: a containerd, an image, a network of four hosts", d.prepare},
		{"Start the master, with its embedded broker", d.startMaster},
		{"Three devices join", d.joinNodes},
		{"Run a pod", d.runPod},
		{"Apply a Deployment", d.applyDeployment},
		{"Cut one node's network, without warning", d.cut},
		{"Its workload runs elsewhere", d.moved},
		{"Heal the network: the old copies are stopped", d.heal},
	} {
		if err := d.do(step.title, step.run); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) prepare() (err error) {
	for _, binary := range []string{"skerry-master", "skerry-agent", "skerry-log", "skerry-guard", "edgectl"} {
		if _, err := os.Stat(filepath.Join(d.bin, binary)); err != nil {
			return fmt.Errorf("%w: run make build first", err)
		}
	}
	if d.containerd, err = hostenv.New(filepath.Join(d.dir, "containerd")); err != nil {
		return err
	}
	d.lab, err = lab.New(lab.Config{Bin: d.bin, Dir: d.dir, Containerd: d.containerd.Socket})
	if err != nil {
		return err
	}
	archives := filepath.Join(d.dir, "images")
	if _, err := images.WriteAll(archives, []v1.Platform{images.Host()}); err != nil {
		return err
	}
	d.say("a containerd of its own (pid %d), the image skerry.test/probe:1, and a switch", d.containerd.PID())
	return nil
}

func (d *demo) startMaster() error {
	host, err := d.lab.AddHost("master")
	if err != nil {
		return err
	}
	if d.master, err = d.lab.StartMaster(host, d.intervals()...); err != nil {
		return err
	}
	if _, err := d.master.JoinToken(patience); err != nil {
		return err
	}
	_, err = d.until("the API answers", patience, func() (bool, string) {
		_, err := d.master.Kubectl("get", "--raw", "/readyz")
		return err == nil, fmt.Sprint(err)
	})
	if err != nil {
		return err
	}
	out, err := d.master.Kubectl("version")
	d.shell("edgectl version", out)
	return err
}

// intervals are the flags of the master.
func (d *demo) intervals() []string {
	if d.quick {
		return []string{"--heartbeat-interval=1s", "--node-timeout=3s", "--suspect-timeout=2s"}
	}
	return nil
}

func (d *demo) joinNodes() error {
	token, err := d.master.JoinToken(patience)
	if err != nil {
		return err
	}
	d.agents = map[string]*lab.Agent{}
	for i := 1; i <= 3; i++ {
		name := fmt.Sprintf("node-%d", i)
		host, err := d.lab.AddHost(name)
		if err != nil {
			return err
		}
		dir := filepath.Join(d.dir, name, "images")
		if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
			return err
		}
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(d.dir, "images"))); err != nil {
			return err
		}
		if d.agents[name], err = d.lab.StartAgent(host, token); err != nil {
			return err
		}
		d.say("%s: skerry-agent --join %s…   (its image lies in images/, no registry is needed)", name, token[:16])
	}
	_, err = d.until("three nodes are Ready", patience, func() (bool, string) {
		out, err := d.master.Kubectl("get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}`)
		return strings.Count(out, "=True") == 3, words(out, err)
	})
	return errors.Join(err, d.show("get", "nodes", "-o", "wide"))
}

func (d *demo) runPod() error {
	if err := d.show("run", "clock", "--image=skerry.test/probe:1", "--", "lines", "0", "1s"); err != nil {
		return err
	}
	took, err := d.until("the pod runs", patience, d.running("", 1, ""))
	if err != nil {
		return err
	}
	d.fact("run → Running: %.1f s", took)
	_, err = d.until("the pod has printed something", patience, func() (bool, string) {
		out, err := d.master.Kubectl("logs", "clock", "--tail=2")
		return strings.Count(out, "\n") >= 2, words(out, err)
	})
	if err != nil {
		return err
	}
	return errors.Join(d.show("get", "pods", "-o", "wide"), d.show("logs", "clock", "--tail=2", "--timestamps"))
}

func (d *demo) applyDeployment() error {
	file := filepath.Join(d.dir, "tide.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o644); err != nil {
		return err
	}
	out, err := d.master.Kubectl("apply", "-f", file)
	if err != nil {
		return err
	}
	d.shell("edgectl apply -f tide.yaml", out)
	if _, err := d.until("four pods run", patience, d.running("", 4, "")); err != nil {
		return err
	}
	return errors.Join(
		d.show("rollout", "status", "deployment/tide"),
		d.show("get", "deployments"), d.show("get", "pods", "-o", "wide"),
		d.show("logs", "deployment/tide", "--tail=1"),
	)
}

func (d *demo) cut() error {
	out, err := d.master.Kubectl("get", "pod", "clock", "-o", "jsonpath={.spec.nodeName}")
	if err != nil {
		return err
	}
	d.lost = out
	d.say("%s runs the pod clock; from now on none of its packets arrives, and nobody has been told", d.lost)
	return d.agents[d.lost].Host.Cut()
}

func (d *demo) moved() error {
	took, err := d.until("all four pods run on the other two nodes", patience, d.running("", 4, d.lost))
	if err != nil {
		return err
	}
	if d.quick {
		d.fact("cut → everything Running on other nodes: %.1f s (heartbeats every second, node-timeout 3 s)", took)
	} else {
		d.fact("cut → everything Running on other nodes: %.1f s (heartbeats every 10 s, node-timeout 30 s: the defaults)", took)
	}
	old, err := d.agents[d.lost].Tasks()
	if err != nil {
		return err
	}
	d.say("the master can't know it, but on %s %d containers still run", d.lost, len(old))
	return errors.Join(
		d.show("get", "nodes"), d.show("get", "pods", "-o", "wide"),
		d.show("get", "events", "--field-selector=involvedObject.kind=Node", "-o=custom-columns=OBJECT:.involvedObject.name,REASON:.reason,MESSAGE:.message"), d.show("logs", "clock", "--tail=1"),
	)
}

func (d *demo) heal() error {
	agent := d.agents[d.lost]
	if err := agent.Host.Heal(); err != nil {
		return err
	}
	took, err := d.until(d.lost+" has stopped its old copies and is Ready", patience, func() (bool, string) {
		tasks, err := agent.Tasks()
		if err != nil {
			return false, err.Error()
		}
		ready, err := d.master.Kubectl("get", "node", d.lost, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		return len(tasks) == 0 && ready == "True", fmt.Sprintf("%d containers, Ready=%s", len(tasks), words(ready, err))
	})
	if err != nil {
		return err
	}
	d.fact("healed → old copies stopped, node Ready: %.1f s", took)
	return errors.Join(d.show("get", "nodes"), d.show("get", "pods", "-o", "wide"))
}

// running checks that count pods run, all pods there are, and none on the node not.
func (d *demo) running(selector string, count int, not string) func() (bool, string) {
	return func() (bool, string) {
		out, err := d.master.Kubectl("get", "pods", "-l", selector, "-o",
			`jsonpath={range .items[*]}{.metadata.name}={.status.phase}@{.spec.nodeName} {end}`)
		if err != nil {
			return false, err.Error()
		}
		pods := strings.Fields(out)
		running := 0
		for _, pod := range pods {
			if strings.Contains(pod, "=Running@") && (not == "" || !strings.HasSuffix(pod, "@"+not)) {
				running++
			}
		}
		return running == count && len(pods) == count, out
	}
}

// show runs edgectl and prints the command and its output.
func (d *demo) show(args ...string) error {
	out, err := d.master.Kubectl(args...)
	if err != nil {
		return err
	}
	d.shell("edgectl "+strings.Join(args, " "), out)
	return nil
}

// fact keeps a measured time for the summary, and prints it.
func (d *demo) fact(format string, took time.Duration) {
	text := fmt.Sprintf(format, took.Seconds())
	d.facts = append(d.facts, text)
	d.say("%s", text)
}

// close ends and removes everything.
func (d *demo) close() error {
	var failed []error
	if d.lab != nil {
		failed = append(failed, d.lab.Close())
	}
	if d.containerd != nil {
		failed = append(failed, d.containerd.Close())
	}
	return errors.Join(failed...)
}

// words is what was printed, or the error instead.
func words(out string, err error) string {
	if err != nil {
		return err.Error()
	}
	return out
}
