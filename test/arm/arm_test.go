package arm

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/skerry-edge/skerry/test/images"
)

// A fleet of two architectures: each node takes its own part of one image, and nodeSelector tells them apart. The
// agent of the second node is the real one for boards, as are the program that keeps its containers' logs and
// what runs in them.
func TestContainerForABoard(t *testing.T) {
	for _, b := range boards {
		t.Run(b.platform.Architecture, func(t *testing.T) {
			if runtime.GOARCH == b.platform.Architecture {
				t.Skip("this machine is one: the end-to-end tests show it")
			}
			testBoard(t, b)
		})
	}
}

func testBoard(t *testing.T, b board) {
	programs := buildFor(t, b)
	emulate(t, b, filepath.Join(programs, "skerry-agent"))
	f := newFleet(t)
	archives := t.TempDir()
	if _, err := images.WriteAll(archives, []v1.Platform{images.Host(), b.platform}); err != nil {
		t.Fatal(err)
	}
	f.addNode("native", archives)
	if err := os.Symlink(filepath.Join(f.lab.Bin, "edgectl"), filepath.Join(programs, "edgectl")); err != nil {
		t.Fatal(err)
	}
	f.lab.Bin = programs
	f.addNode("board", archives)

	arch := b.platform.Architecture
	for node, arch := range map[string]string{"native": runtime.GOARCH, "board": arch} {
		if got := f.kubectl("get", "node", node, "-o", `jsonpath={.metadata.labels.kubernetes\.io/arch} {.status.nodeInfo.architecture}`); got != arch+" "+arch {
			t.Errorf("node %s says that it is %q; want %s", node, got, arch)
		}
		f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: on-` + arch + `}, spec: {nodeSelector: {kubernetes.io/arch: ` + arch + `}, restartPolicy: Never, containers: [{name: a, image: "` + images.Probe + `", args: [arch], env: [{name: QEMU_CPU, value: ` + b.cpu + `}]}]}}`)
		f.untilPrints("Succeeded", "get", "pod", "on-"+arch, "-o", "jsonpath={.status.phase}")
		if got := f.kubectl("get", "pod", "on-"+arch, "-o", "jsonpath={.spec.nodeName}"); got != node {
			t.Errorf("the pod for %s ran on %s", arch, got)
		}
		if got := f.kubectl("logs", "on-"+arch); got != arch {
			t.Errorf("the container on %s says that it is for %q; want %s", node, got, arch)
		}
	}

	// What a user does with a pod on a board: look into it, and end it.
	f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: stays}, spec: {nodeName: board, terminationGracePeriodSeconds: 20, containers: [{name: a, image: "` + images.Probe + `", args: [trap, "0"], env: [{name: QEMU_CPU, value: ` + b.cpu + `}]}]}}`)
	f.untilPrints("Running", "get", "pod", "stays", "-o", "jsonpath={.status.phase}")
	if got := f.kubectl("exec", "stays", "--", "/probe", "arch"); got != arch {
		t.Errorf("exec says %q", got)
	}
	f.kubectl("delete", "pod", "stays", "--timeout="+patience.String())
}

// An image for another architecture is refused before anything of it is fetched, with a reason of its own that
// names both: no container ever ends with "exec format error". So is one that was put on the node as an archive.
func TestImageForAnotherArchitecture(t *testing.T) {
	foreign := v1.Platform{OS: "linux", Architecture: "arm64"}
	if runtime.GOARCH == foreign.Architecture {
		foreign.Architecture = "amd64"
	}
	img, err := images.Make(foreign, v1.Config{Entrypoint: []string{"/app"}}, []images.Entry{{Path: "/app", Mode: 0o755, Data: []byte("app")}})
	if err != nil {
		t.Fatal(err)
	}
	archives, carried := t.TempDir(), "127.0.0.1:1/carried:1" // where no registry answers
	if err := images.Docker(filepath.Join(archives, "carried.tar"), carried, img); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t)
	agent := f.addNode("node-1", archives)
	host := "linux/" + runtime.GOARCH
	for _, c := range []struct {
		pod, image, policy string
		says               []string
	}{
		{"pulled", serve(t, agent.PID(), img), "IfNotPresent", []string{"linux/" + foreign.Architecture, host}},
		{"carried", carried, "IfNotPresent", []string{"images/carried.tar", host}},
		{"only-carried", carried, "Never", []string{"images/carried.tar", host}},
	} {
		f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: ` + c.pod + `}, spec: {containers: [{name: a, image: "` + c.image + `", imagePullPolicy: ` + c.policy + `}]}}`)
		f.untilPrints("ImageWrongArchitecture", "get", "pod", c.pod, "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
		for what, got := range map[string]string{
			"status": f.kubectl("get", "pod", c.pod, "-o", "jsonpath={.status.containerStatuses[0].state.waiting.message}"),
			"event": f.kubectl("get", "events", "--field-selector=reason=Failed,involvedObject.name="+c.pod,
				"-o", "jsonpath={.items[0].type} {.items[0].message}"),
		} {
			for _, want := range append(c.says, c.image) {
				if !strings.Contains(got, want) {
					t.Errorf("pod %s: the %s doesn't mention %s: %s", c.pod, what, want, got)
				}
			}
		}
		if got := f.kubectl("get", "pod", c.pod); !strings.Contains(got, "ImageWrongArchitecture") {
			t.Errorf("get pod shows\n%s", got)
		}
	}
}
