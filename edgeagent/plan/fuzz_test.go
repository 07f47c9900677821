package plan

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/pod"
	"github.com/skerry-edge/skerry/protocol/message"
)

// Whatever pod a master sends, also one that no API would have taken, becomes a spec or an error. Its files stay in
// their volumes, what comes from the API is mounted for reading, and nobody is given what the pod does not ask for.
func FuzzPod(f *testing.F) {
	for _, text := range []string{
		`{"metadata":{"uid":"u","name":"p"},"spec":{"containers":[{"name":"a","image":"i","command":["$(X)","$$(X)","$("],"env":[{"name":"X","value":"$(X)"}]}]}}`,
		`{"metadata":{"uid":"u"},"spec":{"volumes":[{"name":"v","configMap":{"name":"c","items":[{"key":"k","path":"../x"}]}}],"containers":[{"volumeMounts":[{"name":"v","mountPath":"/v","subPath":"../.."}]}]}}`,
		`{"metadata":{"uid":"u"},"spec":{"volumes":[{"name":"v","projected":{"sources":[{"secret":{"name":"c"}},{"downwardAPI":{"items":[{"path":"/p","fieldRef":{"fieldPath":"metadata.labels"}}]}}]}},{"name":"h","hostPath":{"path":"/"}}],"containers":[{"volumeMounts":[{"name":"h"},{"name":"v"}]}]}}`,
		`{"metadata":{"uid":"u"},"spec":{"hostNetwork":true,"securityContext":{"fsGroup":-1,"sysctls":[{"name":"kernel.panic"}],"runAsUser":0},"containers":[{"securityContext":{"privileged":true,"runAsNonRoot":true,"capabilities":{"add":["ALL"]}},"resources":{"limits":{"cpu":"-1","memory":"1e99"}}}]}}`,
		`{"metadata":{"uid":"u"},"spec":{"containers":[{"name":"a","env":[{"name":"E","valueFrom":{"secretKeyRef":{"name":"c","key":"k"}}},{"valueFrom":{"fieldRef":{"fieldPath":"metadata.annotations['x"}}}],"envFrom":[{"configMapRef":{"name":"c"}}]}]}}`,
	} {
		f.Add([]byte(text))
	}
	config, err := (&corev1.ConfigMap{Data: map[string]string{"k": "v", "../k": "v", "": "v"}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	secret, err := (&corev1.Secret{Data: map[string][]byte{"k": []byte("v")}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	node := Node{Name: "n", PodRoot: "/pods", LogRoot: "/logs"}
	f.Fuzz(func(t *testing.T, text []byte) {
		var p corev1.Pod
		if json.Unmarshal(text, &p) != nil {
			return
		}
		encoded, err := p.Marshal()
		if err != nil {
			return
		}
		d, err := Decode(message.Content{Pods: [][]byte{encoded}, ConfigMaps: [][]byte{config}, Secrets: [][]byte{secret}})
		if err != nil {
			return
		}
		sent := d.Pods[0]
		list, err := volumes(d, node, sent)
		if err == nil {
			for _, v := range list {
				for _, file := range v.Files {
					if !filepath.IsLocal(file.Path) || strings.HasPrefix(file.Path, "..") || file.Mode > 0o777 {
						t.Errorf("the volume %s has a file %q of mode %o", v.Name, file.Path, file.Mode)
					}
				}
			}
		}
		for i := range sent.Spec.Containers {
			c := &sent.Spec.Containers[i]
			s, _, err := build(d, node, sent, c, 0, pod.Network{})
			if err != nil {
				continue
			}
			asked := c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
			if s.Privileged && !asked {
				t.Error("a container is privileged that did not ask for it")
			}
			for j, m := range s.Mounts {
				if m.ReadOnly {
					continue
				}
				for _, v := range sent.Spec.Volumes {
					if v.EmptyDir == nil && v.HostPath == nil && m.Source == pod.VolumeDir(node.PodRoot, string(sent.UID), v.Name) {
						first := v.Name // the first of that name is meant
						for _, w := range sent.Spec.Volumes {
							if w.Name == first && (w.EmptyDir != nil || w.HostPath != nil) {
								first = ""
							}
						}
						if first != "" {
							t.Errorf("mount %d of %s can be written", j, v.Name)
						}
					}
				}
			}
		}
	})
}
