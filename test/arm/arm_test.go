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
// names both: no container ever ends with "exec format error".
func TestImageForAnotherArchitecture(t *testing.T) {
	f := newFleet(t)
	agent := f.addNode("node-1", "")
	foreign := "arm64"
	if runtime.GOARCH == foreign {
		foreign = "amd64"
	}
	image := serve(t, agent.PID(), v1.Platform{OS: "linux", Architecture: foreign})
	f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: wrong}, spec: {containers: [{name: a, image: "` + image + `"}]}}`)
	f.untilPrints("ImageWrongArchitecture", "get", "pod", "wrong", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
	for what, got := range map[string]string{
		"status": f.kubectl("get", "pod", "wrong", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.message}"),
		"event": f.kubectl("get", "events", "--field-selector=involvedObject.name=wrong,reason=Failed",
			"-o", "jsonpath={.items[0].type} {.items[0].message}"),
	} {
		for _, want := range []string{image, "linux/" + foreign, "linux/" + runtime.GOARCH} {
			if !strings.Contains(got, want) {
				t.Errorf("the %s doesn't mention %s: %s", what, want, got)
			}
		}
	}
	if got := f.kubectl("get", "pods"); !strings.Contains(got, "ImageWrongArchitecture") {
		t.Errorf("get pods shows\n%s", got)
	}
}
