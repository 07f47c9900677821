package resource

import (
	"fmt"
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// PrivilegedLabel on a namespace, with the value PrivilegedLevel, lets its pods reach into their node. The label's
// other values are the other levels of Kubernetes' Pod Security Standards.
const (
	PrivilegedLabel = api.EnforceLevelLabel
	PrivilegedLevel = string(api.LevelPrivileged)
)

// podSecurity has the checks of all levels. That they fit together is upstream's to see to, and tested here.
var podSecurity, errPodSecurity = policy.NewEvaluator(policy.DefaultChecks(), nil)

// podPolicy is what a namespace lets its pods ask for: what its labels say as in Kubernetes, and baseline without
// the label, where Kubernetes lets everything in. A label that can't be read means restricted.
func podPolicy(labels map[string]string) (api.Policy, field.ErrorList) {
	at := func(level api.Level) api.LevelVersion {
		return api.LevelVersion{Level: level, Version: api.LatestVersion()}
	}
	defaults := api.Policy{Enforce: at(api.LevelBaseline), Audit: at(api.LevelPrivileged), Warn: at(api.LevelPrivileged)}
	if _, labelled := labels[PrivilegedLabel]; !labelled {
		defaults.Warn.Level = api.LevelBaseline
	}
	return api.PolicyToEvaluate(labels, defaults)
}

// PodForbidden says, in the words of Kubernetes, why a namespace does not let a pod in; empty when it does.
func PodForbidden(namespace *corev1.Namespace, p *corev1.Pod) string {
	rules, _ := podPolicy(namespace.Labels)
	what := violations(rules.Enforce, &p.ObjectMeta, &p.Spec)
	if what == "" {
		return ""
	}
	why := fmt.Sprintf("violates PodSecurity %q: %s", rules.Enforce, what)
	if _, labelled := namespace.Labels[PrivilegedLabel]; !labelled {
		why += fmt.Sprintf("; if it may, label the namespace: kubectl label namespace %s %s=%s", namespace.Name, PrivilegedLabel, PrivilegedLevel)
	}
	return why
}

// PodWarning says what of the pods that an object is or makes is beyond the level of which their namespace warns;
// empty for nothing. What makes pods is not refused, as in Kubernetes: its pods are.
func PodWarning(namespace *corev1.Namespace, o Object) string {
	meta, spec := podsOf(o)
	if spec == nil {
		return ""
	}
	rules, _ := podPolicy(namespace.Labels)
	if what := violations(rules.Warn, meta, spec); what != "" {
		return fmt.Sprintf("would violate PodSecurity %q: %s", rules.Warn, what)
	}
	return ""
}

func violations(at api.LevelVersion, meta *metav1.ObjectMeta, spec *corev1.PodSpec) string {
	result := policy.AggregateCheckResults(podSecurity.EvaluatePod(at, meta, spec))
	return result.ForbiddenDetail()
}

// RelabelWarnings says, as Kubernetes does, which of a namespace's pods it would no longer let in once its labels have
// changed. They stay all the same.
func RelabelWarnings(updated, old *corev1.Namespace, pods iter.Seq[*corev1.Pod]) []string {
	now, _ := podPolicy(updated.Labels)
	before, _ := podPolicy(old.Labels)
	if now.Enforce == before.Enforce || now.Enforce.Level == api.LevelPrivileged ||
		now.Enforce.Version == before.Enforce.Version && api.CompareLevels(now.Enforce.Level, before.Enforce.Level) < 0 {
		return nil
	}
	names := map[string][]string{} // by what they violate
	for p := range pods {
		result := policy.AggregateCheckResults(podSecurity.EvaluatePod(now.Enforce, &p.ObjectMeta, &p.Spec))
		if !result.Allowed {
			names[result.ForbiddenReason()] = append(names[result.ForbiddenReason()], p.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	var lines []string
	for what, of := range names {
		who := slices.Min(of)
		switch others := len(of) - 1; others {
		case 0:
		case 1:
			who += " (and 1 other pod)"
		default:
			who += fmt.Sprintf(" (and %d other pods)", others)
		}
		lines = append(lines, who+": "+what)
	}
	slices.Sort(lines)
	head := fmt.Sprintf("existing pods in namespace %q violate the new PodSecurity enforce level %q", updated.Name, now.Enforce)
	return append([]string{head}, lines...)
}

// RunsOther reports whether an update of a pod makes it run something else, so that it has to be let in anew.
func RunsOther(updated, old *corev1.Pod) bool {
	other := func(a, b []corev1.Container) bool {
		if len(a) != len(b) {
			return true
		}
		for i := range a {
			if a[i].Image != b[i].Image {
				return true
			}
		}
		return false
	}
	return other(updated.Spec.Containers, old.Spec.Containers) || other(updated.Spec.InitContainers, old.Spec.InitContainers)
}

// validatePodPolicy checks those of a namespace's labels that say what its pods may; what is not changed is not
// checked anew.
func validatePodPolicy(n, old *corev1.Namespace) field.ErrorList {
	labels := map[string]string{}
	for _, name := range []string{
		api.EnforceLevelLabel, api.EnforceVersionLabel, api.WarnLevelLabel, api.WarnVersionLabel, api.AuditLevelLabel, api.AuditVersionLabel,
	} {
		value, set := n.Labels[name]
		if set && (old == nil || old.Labels[name] != value) {
			labels[name] = value
		}
	}
	_, errs := podPolicy(labels)
	return errs
}
