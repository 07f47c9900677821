package desired

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/message"
)

// podForNode is the part of a pod that its node acts upon. What the master alone is concerned with is left out,
// so that its changes cost no message.
func podForNode(pod *corev1.Pod) *corev1.Pod {
	meta := pod.ObjectMeta
	out := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:                       meta.Name,
			Namespace:                  meta.Namespace,
			UID:                        meta.UID,
			Labels:                     meta.Labels,
			Annotations:                meta.Annotations,
			CreationTimestamp:          meta.CreationTimestamp,
			DeletionTimestamp:          meta.DeletionTimestamp,
			DeletionGracePeriodSeconds: meta.DeletionGracePeriodSeconds,
		},
		Spec: pod.Spec,
	}
	if resource.Ended(pod) {
		out.Status.Phase = pod.Status.Phase // a node that lost its disk doesn't run it again
	}
	return out
}

// nodeFacts are what a node's settings follow from.
type nodeFacts struct {
	subnet  string // of its pods; empty when it has none yet, or does not exist
	metered bool
}

func factsOf(rec change.Record) (nodeFacts, error) {
	if !rec.Exists() {
		return nodeFacts{}, nil
	}
	node, err := resource.As[*corev1.Node](resource.Nodes, rec)
	if err != nil {
		return nodeFacts{}, err
	}
	return nodeFacts{subnet: node.Spec.PodCIDR, metered: resource.Metered(node.Labels)}, nil
}

// Paced are the settings of a node whose link is metered or not.
func Paced(s message.Settings, metered bool) message.Settings {
	if metered {
		s.HeartbeatMillis *= resource.MeteredPace
		s.TimeoutMillis *= resource.MeteredPace
	}
	return s
}

// configMapForNode is the part of a ConfigMap that containers can see.
func configMapForNode(c *corev1.ConfigMap) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: c.Name, Namespace: c.Namespace, UID: c.UID},
		Data:       c.Data,
		BinaryData: c.BinaryData,
	}
}

// secretForNode is the part of a Secret that containers can see.
func secretForNode(s *corev1.Secret) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, UID: s.UID},
		Type:       s.Type,
		Data:       s.Data,
	}
}

// configsOf names the ConfigMaps and Secrets that a pod's containers take their environment from, and those that its
// volumes show, in no order.
func configsOf(pod *corev1.Pod) map[change.Key]bool {
	keys := map[change.Key]bool{}
	add := func(r *resource.Resource, name string) {
		if name != "" {
			keys[r.Key(pod.Namespace, name)] = true
		}
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range containers {
			for _, source := range c.EnvFrom {
				if source.ConfigMapRef != nil {
					add(resource.ConfigMaps, source.ConfigMapRef.Name)
				}
				if source.SecretRef != nil {
					add(resource.Secrets, source.SecretRef.Name)
				}
			}
			for _, env := range c.Env {
				if env.ValueFrom != nil && env.ValueFrom.ConfigMapKeyRef != nil {
					add(resource.ConfigMaps, env.ValueFrom.ConfigMapKeyRef.Name)
				}
				if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil {
					add(resource.Secrets, env.ValueFrom.SecretKeyRef.Name)
				}
			}
		}
	}
	for _, v := range pod.Spec.Volumes {
		if v.ConfigMap != nil {
			add(resource.ConfigMaps, v.ConfigMap.Name)
		}
		if v.Secret != nil {
			add(resource.Secrets, v.Secret.SecretName)
		}
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.ConfigMap != nil {
				add(resource.ConfigMaps, source.ConfigMap.Name)
			}
			if source.Secret != nil {
				add(resource.Secrets, source.Secret.Name)
			}
		}
	}
	return keys
}

// podDigest tells whether a pod changed in a way that its node shall know.
func podDigest(pod *corev1.Pod) (message.Digest, error) {
	encoded, err := resource.Encode(podForNode(pod))
	return message.DigestOf(encoded), err
}
