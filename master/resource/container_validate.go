package resource

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateContainer checks one container of a pod that has these volumes.
func validateContainer(c *corev1.Container, s *corev1.PodSpec, volumes map[string]bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	} else {
		errs = append(errs, invalid(path.Child("name"), c.Name, utilvalidation.IsDNS1123Label(c.Name))...)
	}
	switch {
	case c.Image == "":
		errs = append(errs, field.Required(path.Child("image"), ""))
	case c.Image != strings.TrimSpace(c.Image):
		errs = append(errs, field.Invalid(path.Child("image"), c.Image, "must not have leading or trailing whitespace"))
	}
	errs = append(errs, oneOf(path.Child("imagePullPolicy"), c.ImagePullPolicy,
		corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	errs = append(errs, oneOf(path.Child("terminationMessagePolicy"), c.TerminationMessagePolicy,
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	errs = append(errs, validatePorts(c.Ports, s.HostNetwork, path.Child("ports"))...)
	errs = append(errs, validateEnv(c.Env, path.Child("env"))...)
	errs = append(errs, validateEnvFrom(c.EnvFrom, path.Child("envFrom"))...)
	errs = append(errs, validateResources(&c.Resources, path.Child("resources"))...)
	errs = append(errs, validateMounts(c.VolumeMounts, volumes, path.Child("volumeMounts"))...)
	errs = append(errs, validateProbes(c, path)...)
	if c.Lifecycle != nil {
		errs = append(errs, validateLifecycle(c.Lifecycle, s.TerminationGracePeriodSeconds, path.Child("lifecycle"))...)
	}
	if c.SecurityContext != nil {
		errs = append(errs, validateSecurity(c.SecurityContext, path.Child("securityContext"))...)
	}
	return errs
}

func validatePorts(ports []corev1.ContainerPort, hostNetwork bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := seen[string]{}
	for i, p := range ports {
		at := path.Index(i)
		if p.Name != "" {
			problems := utilvalidation.IsValidPortName(p.Name)
			errs = append(errs, invalid(at.Child("name"), p.Name, problems)...)
			if len(problems) == 0 && names.again(p.Name) {
				errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
			}
		}
		if p.ContainerPort == 0 {
			errs = append(errs, field.Required(at.Child("containerPort"), ""))
		} else {
			errs = append(errs, invalid(at.Child("containerPort"), p.ContainerPort, utilvalidation.IsValidPortNum(int(p.ContainerPort)))...)
		}
		switch {
		case p.HostPort == 0 || hostNetwork && p.HostPort == p.ContainerPort:
		case hostNetwork:
			errs = append(errs, field.Invalid(at.Child("hostPort"), p.HostPort, "must match `containerPort` when `hostNetwork` is true"))
		default:
			errs = append(errs, invalid(at.Child("hostPort"), p.HostPort, utilvalidation.IsValidPortNum(int(p.HostPort)))...)
		}
		if p.HostIP != "" && p.HostPort == 0 {
			errs = append(errs, field.Invalid(at.Child("hostIP"), p.HostIP, "may not be set without `hostPort`"))
		} else if p.HostIP != "" {
			if ip, err := netip.ParseAddr(p.HostIP); err != nil || !ip.Is4() {
				errs = append(errs, field.Invalid(at.Child("hostIP"), p.HostIP, "must be an IPv4 address"))
			}
		}
		errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)...)
	}
	return errs
}

func validateEnv(vars []corev1.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, v := range vars {
		at := path.Index(i)
		if v.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, invalid(at.Child("name"), v.Name, utilvalidation.IsRelaxedEnvVarName(v.Name))...)
		}
		if v.ValueFrom != nil {
			errs = append(errs, validateEnvSource(&v, at.Child("valueFrom"))...)
		}
	}
	return errs
}

func validateEnvSource(v *corev1.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	from, sources := v.ValueFrom, 0
	if from.FieldRef != nil {
		sources++
		errs = append(errs, validateFieldRef(from.FieldRef, envFieldPaths, path.Child("fieldRef"))...)
	}
	if ref := from.ConfigMapKeyRef; ref != nil {
		sources++
		errs = append(errs, validateKeyRef(ref.Name, ref.Key, path.Child("configMapKeyRef"))...)
	}
	if ref := from.SecretKeyRef; ref != nil {
		sources++
		errs = append(errs, validateKeyRef(ref.Name, ref.Key, path.Child("secretKeyRef"))...)
	}
	if from.ResourceFieldRef != nil || from.FileKeyRef != nil {
		sources++ // refused by name already
	}
	switch {
	case sources == 0:
		errs = append(errs, field.Invalid(path, "", "must specify one of: `fieldRef`, `configMapKeyRef` or `secretKeyRef`"))
	case v.Value != "":
		errs = append(errs, field.Invalid(path, "", "may not be specified when `value` is not empty"))
	case sources > 1:
		errs = append(errs, field.Invalid(path, "", "may not have more than one field specified at a time"))
	}
	return errs
}

// validateKeyRef checks a reference to one key of a ConfigMap or Secret.
func validateKeyRef(name, key string, path *field.Path) field.ErrorList {
	errs := validateReferenceName(name, path.Child("name"))
	if key == "" {
		return append(errs, field.Required(path.Child("key"), ""))
	}
	return append(errs, invalid(path.Child("key"), key, utilvalidation.IsConfigMapKey(key))...)
}

func validateReferenceName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return invalid(path, name, validation.NameIsDNSSubdomain(name, false))
}

// subscript takes metadata.labels['key'] and metadata.annotations['key'] apart.
var subscript = regexp.MustCompile(`^metadata\.(labels|annotations)\['(.*)'\]$`)

// Field paths that a variable can be set from: those that Skerry fills in, and those that only Kubernetes does.
var (
	envFieldPaths = []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}
	foreignEnvFields = map[string]bool{"spec.serviceAccountName": true}
)

func validateFieldRef(ref *corev1.ObjectFieldSelector, paths []string, path *field.Path) field.ErrorList {
	at := path.Child("fieldPath")
	if ref.APIVersion != "v1" {
		return field.ErrorList{field.Invalid(path.Child("apiVersion"), ref.APIVersion, "must be v1")}
	}
	if ref.FieldPath == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	if part := subscript.FindStringSubmatch(ref.FieldPath); part != nil {
		key := part[2]
		if part[1] == "annotations" {
			key = strings.ToLower(key) // as Kubernetes checks the keys of annotations
		}
		return invalid(at, ref.FieldPath, utilvalidation.IsQualifiedName(key))
	}
	if foreignEnvFields[ref.FieldPath] {
		return field.ErrorList{field.Forbidden(at, fmt.Sprintf("%q is %s", ref.FieldPath, NotSupported))}
	}
	return oneOf(at, ref.FieldPath, paths...)
}

func validateEnvFrom(sources []corev1.EnvFromSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, s := range sources {
		at := path.Index(i)
		if s.Prefix != "" {
			errs = append(errs, invalid(at.Child("prefix"), s.Prefix, utilvalidation.IsRelaxedEnvVarName(s.Prefix))...)
		}
		switch {
		case s.ConfigMapRef == nil && s.SecretRef == nil:
			errs = append(errs, field.Invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"))
		case s.ConfigMapRef != nil && s.SecretRef != nil:
			errs = append(errs, field.Invalid(at, "", "may not have more than one field specified at a time"))
		case s.ConfigMapRef != nil:
			errs = append(errs, validateReferenceName(s.ConfigMapRef.Name, at.Child("configMapRef", "name"))...)
		default:
			errs = append(errs, validateReferenceName(s.SecretRef.Name, at.Child("secretRef", "name"))...)
		}
	}
	return errs
}

func validateResources(r *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	errs := validateQuantities(r.Limits, path.Child("limits"))
	errs = append(errs, validateQuantities(r.Requests, path.Child("requests"))...)
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		request, asks := r.Requests[name]
		limit, limited := r.Limits[name]
		if asks && limited && request.Cmp(limit) > 0 {
			errs = append(errs, field.Invalid(path.Child("requests"), request.String(),
				fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))
		}
	}
	return errs
}

func validateQuantities(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if q, ok := list[name]; ok && q.Sign() < 0 {
			errs = append(errs, field.Invalid(path.Key(string(name)), q.String(), validation.IsNegativeErrorMsg))
		}
	}
	return errs
}

func validateSecurity(s *corev1.SecurityContext, path *field.Path) field.ErrorList {
	errs := validateUser(s.RunAsUser, s.RunAsGroup, path)
	errs = append(errs, validateSeccomp(s.SeccompProfile, path.Child("seccompProfile"))...)
	if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
		return errs
	}
	if s.Privileged != nil && *s.Privileged {
		errs = append(errs, field.Invalid(path, "", "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
	}
	if s.Capabilities != nil {
		for _, added := range s.Capabilities.Add {
			if added == "CAP_SYS_ADMIN" || added == "SYS_ADMIN" {
				errs = append(errs, field.Invalid(path, "", "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
			}
		}
	}
	return errs
}
