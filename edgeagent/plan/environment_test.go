package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/edgeagent/pod"
)

// The syntax is Kubernetes': https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
func TestExpand(t *testing.T) {
	env := map[string]string{"A": "1", "B": "$(A)", "EMPTY": ""}
	for text, want := range map[string]string{
		"":             "",
		"plain":        "plain",
		"$(A)":         "1",
		"x$(A)y$(A)":   "x1y1",
		"$(B)":         "$(A)", // values are not expanded again
		"[$(EMPTY)]":   "[]",
		"$(MISSING)":   "$(MISSING)",
		"$$(A)":        "$(A)",
		"$$$(A)":       "$1",
		"$A ${A} $":    "$A ${A} $",
		"$(A":          "$(A",
		"cost: 5$ (A)": "cost: 5$ (A)",
	} {
		if got := expand(text, env); got != want {
			t.Errorf("expand(%q) = %q, want %q", text, got, want)
		}
	}
}

func ref(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }

func fieldOf(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
}

func TestEnvironment(t *testing.T) {
	yes := true
	d := &Desired{
		ConfigMaps: map[string]*corev1.ConfigMap{"shop/settings": {Data: map[string]string{"COLOR": "blue", "SIZE": "3"}}},
		Secrets:    map[string]*corev1.Secret{"shop/keys": {Data: map[string][]byte{"TOKEN": []byte("t")}}},
	}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", UID: "u", Labels: map[string]string{"app.kubernetes.io/name": "web"}},
		Spec:       corev1.PodSpec{ServiceAccountName: "default"},
	}
	configKey := func(name, key string, optional *bool) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref(name), Key: key, Optional: optional}}
	}
	for name, test := range map[string]struct {
		from []corev1.EnvFromSource
		env  []corev1.EnvVar
		want map[string]string
		err  string
	}{
		"later refers to earlier, not the other way": {
			env:  []corev1.EnvVar{{Name: "A", Value: "$(B)"}, {Name: "B", Value: "2"}, {Name: "C", Value: "$(B)$(B)"}},
			want: map[string]string{"A": "$(B)", "B": "2", "C": "22"},
		},
		"env goes before envFrom": {
			from: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref("settings")}}},
			env:  []corev1.EnvVar{{Name: "SIZE", Value: "4"}, {Name: "TEXT", Value: "$(COLOR)"}},
			want: map[string]string{"COLOR": "blue", "SIZE": "4", "TEXT": "blue"},
		},
		"prefix and secret": {
			from: []corev1.EnvFromSource{{Prefix: "K_", SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref("keys")}}},
			want: map[string]string{"K_TOKEN": "t"},
		},
		"fields": {
			env: []corev1.EnvVar{
				{Name: "NAME", ValueFrom: fieldOf("metadata.name")}, {Name: "NS", ValueFrom: fieldOf("metadata.namespace")},
				{Name: "NODE", ValueFrom: fieldOf("spec.nodeName")}, {Name: "HOST", ValueFrom: fieldOf("status.hostIP")},
				{Name: "IP", ValueFrom: fieldOf("status.podIP")}, {Name: "APP", ValueFrom: fieldOf("metadata.labels['app.kubernetes.io/name']")},
			},
			want: map[string]string{"NAME": "web-1", "NS": "shop", "NODE": "board", "HOST": "192.0.2.7", "IP": "10.0.0.2", "APP": "web"},
		},
		"one key":               {env: []corev1.EnvVar{{Name: "X", ValueFrom: configKey("settings", "COLOR", nil)}}, want: map[string]string{"X": "blue"}},
		"a missing key":         {env: []corev1.EnvVar{{Name: "X", ValueFrom: configKey("settings", "NO", nil)}}, err: "couldn't find key NO in ConfigMap shop/settings"},
		"a missing ConfigMap":   {env: []corev1.EnvVar{{Name: "X", ValueFrom: configKey("none", "NO", nil)}}, err: `configmap "none" not found`},
		"an optional one":       {env: []corev1.EnvVar{{Name: "X", ValueFrom: configKey("none", "NO", &yes)}}, want: map[string]string{}},
		"a missing envFrom":     {from: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref("none")}}}, err: `configmap "none" not found`},
		"an unknown field":      {env: []corev1.EnvVar{{Name: "X", ValueFrom: fieldOf("spec.nothing")}}, err: `fieldPath "spec.nothing" is not supported`},
		"a source of the later": {env: []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{}}}, err: "valueFrom names a source that this agent does not support"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &corev1.Container{Name: "app", Env: test.env, EnvFrom: test.from}
			got, err := environment(d, Node{Name: "board", IP: "192.0.2.7"}, p, c, pod.Network{IP: "10.0.0.2"})
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("err = %v, want %s", err, test.err)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("(-want +got), %v:\n%s", err, diff)
			}
		})
	}
}
