package plan

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/pod"
)

// environment resolves a container's variables, by the kubelet's rules (makeEnvironmentVariables): envFrom
// first, then env in order, where a later one may refer to earlier ones.
func environment(d *Desired, node Node, p *corev1.Pod, c *corev1.Container, net pod.Network) (map[string]string, error) {
	env := map[string]string{}
	for _, from := range c.EnvFrom {
		if err := fromSource(env, d, p.Namespace, from); err != nil {
			return nil, err
		}
	}
	for _, v := range c.Env {
		value, set, err := expand(v.Value, env), true, error(nil)
		if v.ValueFrom != nil {
			value, set, err = valueFrom(d, node, p, v.ValueFrom, net)
		}
		if err != nil {
			return nil, err
		}
		if set {
			env[v.Name] = value
		}
	}
	return env, nil
}

// fromSource adds a whole ConfigMap or Secret.
func fromSource(env map[string]string, d *Desired, namespace string, from corev1.EnvFromSource) error {
	add := func(key, value string) {
		if key != "" && !strings.ContainsAny(key, "=\x00") {
			env[from.Prefix+key] = value
		}
	}
	switch {
	case from.ConfigMapRef != nil:
		config := d.ConfigMaps[namespace+"/"+from.ConfigMapRef.Name]
		if config == nil {
			return missing(from.ConfigMapRef.Optional, "configmap %q not found", from.ConfigMapRef.Name)
		}
		for key, value := range config.Data {
			add(key, value)
		}
	case from.SecretRef != nil:
		secret := d.Secrets[namespace+"/"+from.SecretRef.Name]
		if secret == nil {
			return missing(from.SecretRef.Optional, "secret %q not found", from.SecretRef.Name)
		}
		for key, value := range secret.Data {
			add(key, string(value))
		}
	}
	return nil
}

// missing is the error of something that is not there, unless it is optional.
func missing(optional *bool, format string, args ...any) error {
	if optional != nil && *optional {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func valueFrom(d *Desired, node Node, p *corev1.Pod, from *corev1.EnvVarSource, net pod.Network) (value string, set bool, err error) {
	switch {
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		config := d.ConfigMaps[p.Namespace+"/"+ref.Name]
		if config == nil {
			return "", false, missing(ref.Optional, "configmap %q not found", ref.Name)
		}
		if value, set = config.Data[ref.Key]; !set {
			return "", false, missing(ref.Optional, "couldn't find key %s in ConfigMap %s/%s", ref.Key, p.Namespace, ref.Name)
		}
		return value, true, nil
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		secret := d.Secrets[p.Namespace+"/"+ref.Name]
		if secret == nil {
			return "", false, missing(ref.Optional, "secret %q not found", ref.Name)
		}
		data, set := secret.Data[ref.Key]
		if !set {
			return "", false, missing(ref.Optional, "couldn't find key %s in Secret %s/%s", ref.Key, p.Namespace, ref.Name)
		}
		return string(data), true, nil
	case from.FieldRef != nil:
		value, err := field(node, p, from.FieldRef.FieldPath, net)
		return value, err == nil, err
	}
	return "", false, errors.New("valueFrom names a source that this agent does not support")
}

// field is the value of a downward API field.
func field(node Node, p *corev1.Pod, path string, net pod.Network) (string, error) {
	if name, key, ok := subscript(path); ok {
		switch name {
		case "metadata.labels":
			return p.Labels[key], nil
		case "metadata.annotations":
			return p.Annotations[key], nil
		}
	}
	ip := net.IP
	if ip == "" && p.Spec.HostNetwork {
		ip = node.IP
	}
	switch path {
	case "metadata.name":
		return p.Name, nil
	case "metadata.namespace":
		return p.Namespace, nil
	case "metadata.uid":
		return string(p.UID), nil
	case "spec.nodeName":
		return node.Name, nil
	case "spec.serviceAccountName":
		return p.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.hostIPs":
		return node.IP, nil
	case "status.podIP", "status.podIPs":
		return ip, nil
	}
	return "", fmt.Errorf("fieldPath %q is not supported", path)
}

// subscript takes metadata.labels['key'] apart.
func subscript(path string) (name, key string, ok bool) {
	name, rest, found := strings.Cut(path, "['")
	key, end := strings.CutSuffix(rest, "']")
	return name, key, found && end
}
