package plan

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/pod"
)

// volumes resolves the volumes of a pod. Its errors are for the user and quote no contents.
func volumes(d *Desired, node Node, p *corev1.Pod) ([]pod.Volume, error) {
	var out []pod.Volume
	for i := range p.Spec.Volumes {
		v, err := volume(d, node, p, &p.Spec.Volumes[i])
		if err != nil {
			return nil, fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", p.Spec.Volumes[i].Name, err)
		}
		out = append(out, v)
	}
	return out, nil
}

func volume(d *Desired, node Node, p *corev1.Pod, v *corev1.Volume) (pod.Volume, error) {
	out := pod.Volume{Name: v.Name, Kind: pod.FileVolume, Memory: true}
	f := files{d: d, node: node, pod: p, byPath: map[string]pod.File{}}
	if s := p.Spec.SecurityContext; s != nil {
		out.Group = s.FSGroup
	}
	var err error
	switch {
	case v.EmptyDir != nil:
		out.Kind, out.Memory = pod.EmptyVolume, v.EmptyDir.Medium == corev1.StorageMediumMemory
		if limit := v.EmptyDir.SizeLimit; limit != nil && out.Memory {
			out.SizeBytes = limit.Value()
		}
		return out, nil
	case v.HostPath != nil:
		out.Kind, out.Memory, out.HostPath, out.Group = pod.HostVolume, false, v.HostPath.Path, nil
		if v.HostPath.Type != nil {
			out.HostType = string(*v.HostPath.Type)
		}
		return out, nil
	case v.ConfigMap != nil:
		out.Memory = false
		f.mode = v.ConfigMap.DefaultMode
		err = f.configMap(v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional)
	case v.Secret != nil:
		f.mode = v.Secret.DefaultMode
		err = f.secret(v.Secret.SecretName, v.Secret.Items, v.Secret.Optional)
	case v.DownwardAPI != nil:
		f.mode = v.DownwardAPI.DefaultMode
		err = f.fields(v.DownwardAPI.Items)
	case v.Projected != nil:
		f.mode = v.Projected.DefaultMode
		err = f.projected(v.Projected.Sources)
	default:
		err = fmt.Errorf("its kind is not supported by this agent")
	}
	for _, path := range slices.Sorted(maps.Keys(f.byPath)) {
		out.Files = append(out.Files, f.byPath[path])
	}
	return out, err
}

// files collects the files of one volume.
type files struct {
	d      *Desired
	node   Node
	pod    *corev1.Pod
	mode   *int32 // of files that name none
	byPath map[string]pod.File
}

// defaultMode is Kubernetes' mode of files.
const defaultMode = 0o644

// add puts a file into the volume: below it, and not where the volume keeps its own.
func (f *files) add(at string, mode *int32, data []byte) error {
	clean := path.Clean(at)
	if at == "" || path.IsAbs(at) || strings.HasPrefix(clean, "..") || clean == "." {
		return fmt.Errorf("the path %q leads out of the volume", at)
	}
	file := pod.File{Path: clean, Mode: defaultMode, Data: data}
	for _, m := range []*int32{f.mode, mode} {
		if m != nil {
			file.Mode = uint32(*m) & 0o777
		}
	}
	f.byPath[clean] = file
	return nil
}

// pick adds what the items name, or else everything.
func (f *files) pick(data map[string][]byte, items []corev1.KeyToPath, optional *bool, what string) error {
	if len(items) == 0 {
		for key, value := range data {
			if err := f.add(key, nil, value); err != nil {
				return err
			}
		}
		return nil
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			if err := missing(optional, "%s references non-existent key: %s", what, item.Key); err != nil {
				return err
			}
			continue
		}
		if err := f.add(item.Path, item.Mode, value); err != nil {
			return err
		}
	}
	return nil
}

func (f *files) configMap(name string, items []corev1.KeyToPath, optional *bool) error {
	config := f.d.ConfigMaps[f.pod.Namespace+"/"+name]
	if config == nil {
		return missing(optional, "configmap %q not found", name)
	}
	data := map[string][]byte{}
	for key, value := range config.Data {
		data[key] = []byte(value)
	}
	maps.Copy(data, config.BinaryData)
	return f.pick(data, items, optional, "configmap "+name)
}

func (f *files) secret(name string, items []corev1.KeyToPath, optional *bool) error {
	secret := f.d.Secrets[f.pod.Namespace+"/"+name]
	if secret == nil {
		return missing(optional, "secret %q not found", name)
	}
	return f.pick(secret.Data, items, optional, "secret "+name)
}

func (f *files) fields(items []corev1.DownwardAPIVolumeFile) error {
	for _, item := range items {
		if item.FieldRef == nil {
			return fmt.Errorf("the file %q has a source that this agent does not support", item.Path)
		}
		var text string
		var err error
		switch item.FieldRef.FieldPath {
		case "metadata.labels":
			text = mapText(f.pod.Labels)
		case "metadata.annotations":
			text = mapText(f.pod.Annotations)
		default:
			text, err = field(f.node, f.pod, item.FieldRef.FieldPath, pod.Network{})
		}
		if err == nil {
			err = f.add(item.Path, item.Mode, []byte(text))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mapText shows a map as Kubernetes does (fieldpath.FormatMap).
func mapText(m map[string]string) string {
	var out []string
	for _, key := range sortedKeys(m) {
		out = append(out, fmt.Sprintf("%v=%q", key, m[key]))
	}
	return strings.Join(out, "\n")
}

func (f *files) projected(sources []corev1.VolumeProjection) error {
	for _, s := range sources {
		var err error
		switch {
		case s.ConfigMap != nil:
			err = f.configMap(s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional)
		case s.Secret != nil:
			err = f.secret(s.Secret.Name, s.Secret.Items, s.Secret.Optional)
		case s.DownwardAPI != nil:
			err = f.fields(s.DownwardAPI.Items)
		default:
			err = fmt.Errorf("a source is not supported by this agent")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mounts are where a container sees the pod's volumes, outer ones first.
func mounts(node Node, p *corev1.Pod, c *corev1.Container) ([]engine.Mount, []pod.SubPath, error) {
	var out []engine.Mount
	var parts []pod.SubPath
	for i, m := range c.VolumeMounts {
		at := slices.IndexFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if at < 0 {
			return nil, nil, fmt.Errorf("container %s mounts the volume %q, which the pod does not have", c.Name, m.Name)
		}
		v := &p.Spec.Volumes[at]
		source := pod.VolumeDir(node.PodRoot, string(p.UID), v.Name)
		if v.HostPath != nil {
			source = v.HostPath.Path
		}
		if m.SubPath != "" {
			place := pod.SubPathDir(node.PodRoot, string(p.UID), c.Name, i)
			parts = append(parts, pod.SubPath{Place: place, Volume: source, Path: m.SubPath})
			source = place
		}
		own := v.EmptyDir != nil || v.HostPath != nil // what is filled from the API is not for writing
		out = append(out, engine.Mount{Source: source, Target: m.MountPath, ReadOnly: m.ReadOnly || !own})
	}
	depth := func(m engine.Mount) int { return strings.Count(path.Clean(m.Target), "/") }
	slices.SortStableFunc(out, func(a, b engine.Mount) int { return depth(a) - depth(b) })
	return out, parts, nil
}
