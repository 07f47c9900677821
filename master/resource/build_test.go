package resource

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// parse reads an object from YAML, refusing fields that its type does not have.
func parse[T Object](t *testing.T, r *Resource, text string) T {
	t.Helper()
	o := r.New()
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return o.(T)
}

// create does what the API does with a new object.
func create[T Object](t *testing.T, r *Resource, text string) (T, field.ErrorList) {
	t.Helper()
	o := parse[T](t, r, text)
	prepare(r, o)
	return o, r.Validate(o, nil)
}

func prepare(r *Resource, o Object) {
	if r.Default != nil {
		r.Default(o)
	}
	r.PrepareCreate(o)
}

// update does what the API does with a changed object.
func update(r *Resource, updated, old Object) field.ErrorList {
	if r.Default != nil {
		r.Default(updated)
	}
	r.PrepareUpdate(updated, old)
	return r.Validate(updated, old)
}

// lines are errors as a client reads them.
func lines(errs field.ErrorList) string {
	var out []string
	for _, err := range errs {
		out = append(out, err.Error())
	}
	return strings.Join(out, "\n")
}

func toYAML(t *testing.T, o any) string {
	t.Helper()
	text, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// indent puts a YAML fragment below a key.
func indent(text string, by int) string {
	var out []string
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		out = append(out, strings.Repeat(" ", by)+line)
	}
	return strings.Join(out, "\n") + "\n"
}

// podWith is a pod with more in its spec and in its only container.
func podWith(spec, container string) string {
	text := "metadata: {name: p, namespace: ns}\nspec:\n"
	if spec != "" {
		text += indent(spec, 2)
	}
	text += "  containers:\n  - name: c\n    image: busybox\n"
	if container != "" {
		text += indent(container, 4)
	}
	return text
}

// deploymentWith is a deployment with more in its spec.
func deploymentWith(spec string) string {
	text := "metadata: {name: d, namespace: ns}\nspec:\n"
	if spec != "" {
		text += indent(spec, 2)
	}
	if !strings.Contains(spec, "selector:") {
		text += "  selector: {matchLabels: {app: a}}\n"
	}
	if !strings.Contains(spec, "template:") {
		text += "  template:\n    metadata: {labels: {app: a}}\n    spec: {containers: [{name: c, image: busybox}]}\n"
	}
	return text
}
