package resource

import (
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/yaml"

	"github.com/skerry-edge/skerry/master/change"
)

// filler fills objects with random contents that their encodings can hold.
func filler(seed int64) *randfill.Filler {
	return randfill.NewWithSeed(seed).NilChance(0.5).NumElements(1, 2).MaxDepth(12).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewMilliQuantity(c.Int63n(1e6), resource.DecimalSI)
		},
		func(t *metav1.Time, c randfill.Continue) { *t = metav1.NewTime(time.Unix(c.Int63n(1e9), 0).UTC()) },
		func(t *metav1.MicroTime, c randfill.Continue) {
			*t = metav1.NewMicroTime(time.Unix(c.Int63n(1e9), 1000*c.Int63n(1e6)).UTC())
		},
		func(v *intstr.IntOrString, c randfill.Continue) { *v = intstr.FromInt32(c.Int31()) },
		func(f *metav1.FieldsV1, _ randfill.Continue) { *f = *metav1.NewFieldsV1(`{"f:spec":{}}`) },
		func(t *metav1.TypeMeta, _ randfill.Continue) { *t = metav1.TypeMeta{} },
		func(r *runtime.RawExtension, _ randfill.Continue) { *r = runtime.RawExtension{Raw: []byte("{}")} },
	)
}

// Whatever an object holds, storing it loses nothing, and equal objects are stored as equal bytes.
func TestRoundTrip(t *testing.T) {
	for _, r := range All {
		for seed := range int64(15) {
			o := r.New()
			filler(seed).Fill(o)
			value, err := Encode(o)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Encode(o.DeepCopyObject().(Object))
			if err != nil || string(again) != string(value) {
				t.Fatalf("%s, seed %d: a copy is encoded differently (%v)", r.GVK, seed, err)
			}
			got, err := r.Decode(change.Record{Key: r.Key("", ""), Rev: 8, Value: value})
			if err != nil {
				t.Fatal(err)
			}
			o.SetResourceVersion("8")
			o.GetObjectKind().SetGroupVersionKind(r.GVK)
			if !same(o, got) {
				t.Fatalf("%s, seed %d:\n%s\n%s", r.GVK, seed, toJSON(t, o), toJSON(t, got))
			}
		}
	}
}

func toJSON(t *testing.T, o any) string {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// handle does with an object all that the API does with what a client sends.
func handle(r *Resource, o Object) {
	old := o.DeepCopyObject().(Object)
	if !r.ReadOnly {
		if r.Default != nil {
			r.Default(o)
		}
		r.PrepareCreate(o)
		r.Validate(o, nil)
		if r.Default != nil {
			r.Default(old)
		}
		r.PrepareUpdate(old, o)
		r.Validate(old, o)
	}
	PodWarning(&corev1.Namespace{}, o)
	r.Row(o, tableTime)
	for _, of := range r.Fields {
		of(o)
	}
	if r.Scale != nil {
		_, _, _ = r.Scale.Get(o)
		r.Scale.Set(o, 3)
	}
}

// Objects full of nonsense are refused, never a reason to panic; what is refused stays encodable.
func TestNonsenseIsHandled(t *testing.T) {
	for _, r := range All {
		for seed := range int64(60) {
			o := r.New()
			filler(seed).Fill(o)
			handle(r, o)
			if _, err := Encode(o); err != nil {
				t.Fatalf("%s: %v", r.GVK, err)
			}
		}
	}
}

// Whatever a client sends, as JSON or as protobuf, decoding, defaulting and validating it does not panic.
func FuzzObjects(f *testing.F) {
	for _, text := range []string{
		podWith("hostNetwork: true\ntolerations: [{}]", "ports: [{containerPort: 1}]\nresources: {limits: {cpu: 1}}\nenv: [{name: A, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['a']\"}}}]"),
		deploymentWith("strategy: {rollingUpdate: {maxSurge: 10%}}"),
		"metadata: {name: s}\nspec: {ports: [{port: 1, targetPort: x}]}",
	} {
		seed, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
		for _, r := range []*Resource{Pods, Deployments, Services} {
			if o := r.New(); json.Unmarshal(seed, o) == nil {
				if value, err := Encode(o); err == nil {
					f.Add(value)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		for _, r := range All {
			if o := r.New(); json.Unmarshal(sent, o) == nil {
				handle(r, o)
			}
			if o := r.New(); o.Unmarshal(sent) == nil {
				handle(r, o)
			}
		}
	})
}
