package apiserver

import (
	"fmt"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

// discard is a ResponseWriter that counts.
type discard struct {
	header http.Header
	n      int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { d.n += len(p); return len(p), nil }

// BenchmarkList lists 10,000 pods in each form.
func BenchmarkList(b *testing.B) {
	a := newAPI(b)
	for i := range 10000 {
		a.put(resource.Pods, pod(fmt.Sprint("pod-", i), func(p *corev1.Pod) {
			p.Spec.NodeName = fmt.Sprint("n", i%1000)
			p.Labels = map[string]string{"app": fmt.Sprint("a", i%100)}
			resource.Pods.Default(p)
			p.Status.Phase = corev1.PodRunning
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", Ready: true, Image: "busybox", ImageID: "sha256:0123456789"}}
		}))
	}
	for name, q := range map[string]ask{
		"table":    {method: "GET", path: "/api/v1/pods", accept: "application/json;as=Table;v=v1;g=meta.k8s.io"},
		"json":     {method: "GET", path: "/api/v1/pods"},
		"protobuf": {method: "GET", path: "/api/v1/pods", accept: mediaProtobuf},
		"label":    {method: "GET", path: "/api/v1/pods?labelSelector=app%3Da1"},
		"node":     {method: "GET", path: "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := &discard{header: http.Header{}}
				a.handler.ServeHTTP(w, a.request(q))
				b.ReportMetric(float64(w.n), "bytes")
			}
		})
	}
}
