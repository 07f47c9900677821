package plan

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/protocol/message"
)

// Desired is what the node shall run.
type Desired struct {
	Pods       []*corev1.Pod
	ConfigMaps map[string]*corev1.ConfigMap // by <namespace>/<name>
	Secrets    map[string]*corev1.Secret    // likewise
	Subnet     netip.Prefix                 // of the node's pods; invalid: as before
}

// Decode reads the content of a desired state. One that can't be read whole is refused whole: a pod left out
// would be stopped.
func Decode(content message.Content) (*Desired, error) {
	d := &Desired{ConfigMaps: map[string]*corev1.ConfigMap{}, Secrets: map[string]*corev1.Secret{}}
	if text := content.Settings.PodCIDR; text != "" {
		subnet, err := netip.ParsePrefix(text)
		if err != nil || !subnet.Addr().Is4() {
			return nil, fmt.Errorf("the desired state names the subnet %q, which is none of IPv4", text)
		}
		d.Subnet = subnet.Masked()
	}
	seen := map[string]bool{}
	for i, data := range content.Pods {
		p := &corev1.Pod{}
		if err := p.Unmarshal(data); err != nil {
			return nil, fmt.Errorf("decode pod %d of the desired state: %w", i, err)
		}
		if uid := string(p.UID); uid == "" || seen[uid] {
			return nil, fmt.Errorf("pod %s/%s of the desired state has the uid %q, which is empty or not its own", p.Namespace, p.Name, uid)
		}
		seen[string(p.UID)] = true
		d.Pods = append(d.Pods, p)
	}
	for i, data := range content.ConfigMaps {
		c := &corev1.ConfigMap{}
		if err := c.Unmarshal(data); err != nil {
			return nil, fmt.Errorf("decode configmap %d of the desired state: %w", i, err)
		}
		d.ConfigMaps[c.Namespace+"/"+c.Name] = c
	}
	for i, data := range content.Secrets {
		s := &corev1.Secret{}
		if err := s.Unmarshal(data); err != nil {
			return nil, fmt.Errorf("decode secret %d of the desired state: not valid", i) // the error may quote it
		}
		d.Secrets[s.Namespace+"/"+s.Name] = s
	}
	return d, nil
}
