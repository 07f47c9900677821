package resource

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// defaultVolume fills in a volume as Kubernetes does.
func defaultVolume(v *corev1.VolumeSource) {
	if *v == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	mode := func(m **int32) {
		if *m == nil {
			*m = new(int32(corev1.ConfigMapVolumeSourceDefaultMode))
		}
	}
	switch {
	case v.HostPath != nil && v.HostPath.Type == nil:
		v.HostPath.Type = new(corev1.HostPathUnset)
	case v.ConfigMap != nil:
		mode(&v.ConfigMap.DefaultMode)
	case v.Secret != nil:
		mode(&v.Secret.DefaultMode)
	case v.DownwardAPI != nil:
		mode(&v.DownwardAPI.DefaultMode)
		defaultFieldRefs(v.DownwardAPI.Items)
	case v.Projected != nil:
		mode(&v.Projected.DefaultMode)
		for _, s := range v.Projected.Sources {
			if s.DownwardAPI != nil {
				defaultFieldRefs(s.DownwardAPI.Items)
			}
		}
	}
}

func defaultFieldRefs(items []corev1.DownwardAPIVolumeFile) {
	for _, item := range items {
		if item.FieldRef != nil && item.FieldRef.APIVersion == "" {
			item.FieldRef.APIVersion = "v1"
		}
	}
}

// validateVolumes checks volumes with Kubernetes' rules and words (ValidateVolumes), and returns their names.
func validateVolumes(volumes []corev1.Volume, at *field.Path) (map[string]bool, field.ErrorList) {
	var errs field.ErrorList
	names := seen[string]{}
	for i, v := range volumes {
		at := at.Index(i)
		if v.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, invalid(at.Child("name"), v.Name, utilvalidation.IsDNS1123Label(v.Name))...)
			if names.again(v.Name) {
				errs = append(errs, field.Duplicate(at.Child("name"), v.Name))
			}
		}
		errs = append(errs, validateVolumeSource(&v.VolumeSource, at)...)
	}
	return names, errs
}

func validateVolumeSource(v *corev1.VolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	kinds := 0
	one := func(set bool, name string, check func(at *field.Path) field.ErrorList) {
		switch {
		case !set:
			return
		case kinds > 0:
			errs = append(errs, field.Forbidden(at.Child(name), "may not specify more than 1 volume type"))
		default:
			errs = append(errs, check(at.Child(name))...)
		}
		kinds++
	}
	one(v.EmptyDir != nil, "emptyDir", func(at *field.Path) field.ErrorList { return validateEmptyDir(v.EmptyDir, at) })
	one(v.HostPath != nil, "hostPath", func(at *field.Path) field.ErrorList { return validateHostPath(v.HostPath, at) })
	one(v.Secret != nil, "secret", func(at *field.Path) field.ErrorList {
		s := v.Secret
		errs := validateFiles(s.DefaultMode, s.Items, at)
		if s.SecretName == "" {
			errs = append(errs, field.Required(at.Child("secretName"), ""))
		}
		return errs
	})
	one(v.ConfigMap != nil, "configMap", func(at *field.Path) field.ErrorList {
		c := v.ConfigMap
		errs := validateFiles(c.DefaultMode, c.Items, at)
		if c.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		}
		return errs
	})
	one(v.DownwardAPI != nil, "downwardAPI", func(at *field.Path) field.ErrorList {
		return append(validateMode(v.DownwardAPI.DefaultMode, at.Child("defaultMode")), validateDownward(v.DownwardAPI.Items, at.Child("items"))...)
	})
	one(v.Projected != nil, "projected", func(at *field.Path) field.ErrorList { return validateProjected(v.Projected, at) })
	return errs // a volume of a kind that is not listed here has been refused by its name
}

func validateEmptyDir(e *corev1.EmptyDirVolumeSource, at *field.Path) field.ErrorList {
	switch limit := e.SizeLimit; {
	case limit == nil:
	case limit.Sign() < 0:
		return field.ErrorList{field.Forbidden(at.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity")}
	case e.Medium != corev1.StorageMediumMemory && limit.Sign() > 0:
		return field.ErrorList{field.Forbidden(at.Child("sizeLimit"), NotSupported+" unless `medium` is 'Memory': nothing bounds a directory on the node's disk")}
	}
	return nil
}

func validateHostPath(h *corev1.HostPathVolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case h.Path == "":
		errs = append(errs, field.Required(at.Child("path"), ""))
	case hasBacksteps(h.Path):
		errs = append(errs, field.Invalid(at.Child("path"), h.Path, "must not contain '..'"))
	case !path.IsAbs(h.Path):
		errs = append(errs, field.Invalid(at.Child("path"), h.Path, "must be an absolute path"))
	}
	if h.Type != nil && *h.Type != corev1.HostPathUnset {
		errs = append(errs, oneOf(at.Child("type"), *h.Type, corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory,
			corev1.HostPathFileOrCreate, corev1.HostPathFile, corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev)...)
	}
	return errs
}

func validateFiles(mode *int32, items []corev1.KeyToPath, at *field.Path) field.ErrorList {
	return append(validateMode(mode, at.Child("defaultMode")), validateItems(items, at.Child("items"))...)
}

func validateItems(items []corev1.KeyToPath, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, item := range items {
		at := at.Index(i)
		if item.Key == "" {
			errs = append(errs, field.Required(at.Child("key"), ""))
		}
		errs = append(errs, validateFilePath(item.Path, at.Child("path"))...)
		errs = append(errs, validateMode(item.Mode, at.Child("mode"))...)
	}
	return errs
}

func validateMode(mode *int32, at *field.Path) field.ErrorList {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		return field.ErrorList{field.Invalid(at, *mode, "must be a number between 0 and 0777 (octal), both inclusive")}
	}
	return nil
}

// validateFilePath checks where in a volume a file is to be: never outside, and not where the volume keeps its own.
func validateFilePath(p string, at *field.Path) field.ErrorList {
	if p == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	errs := validateDescending(p, at)
	if strings.HasPrefix(p, "..") && len(errs) == 0 {
		errs = append(errs, field.Invalid(at, p, "must not start with '..'"))
	}
	return errs
}

func validateDescending(p string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if path.IsAbs(p) {
		errs = append(errs, field.Invalid(at, p, "must be a relative path"))
	}
	if hasBacksteps(p) {
		errs = append(errs, field.Invalid(at, p, "must not contain '..'"))
	}
	return errs
}

func hasBacksteps(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// Fields that a file can show: those of variables that don't depend on where the pod runs, and whole maps.
var fileFieldPaths = []string{"metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations"}

func validateDownward(items []corev1.DownwardAPIVolumeFile, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, item := range items {
		at := at.Index(i)
		errs = append(errs, validateFilePath(item.Path, at.Child("path"))...)
		errs = append(errs, validateMode(item.Mode, at.Child("mode"))...)
		switch {
		case item.FieldRef != nil:
			errs = append(errs, validateFieldRef(item.FieldRef, fileFieldPaths, at.Child("fieldRef"))...)
		case item.ResourceFieldRef == nil:
			errs = append(errs, field.Required(at, "`fieldRef` is required"))
		}
	}
	return errs
}

func validateProjected(p *corev1.ProjectedVolumeSource, at *field.Path) field.ErrorList {
	errs := validateMode(p.DefaultMode, at.Child("defaultMode"))
	paths := seen[string]{}
	unique := func(p string, at *field.Path) {
		if p != "" && paths.again(path.Clean(p)) {
			errs = append(errs, field.Invalid(at, p, "conflicting duplicate paths"))
		}
	}
	for i, s := range p.Sources {
		at := at.Child("sources").Index(i)
		kinds := 0
		if c := s.ConfigMap; c != nil {
			kinds++
			errs = append(errs, validateProjection(c.Name, c.Items, unique, at.Child("configMap"))...)
		}
		if c := s.Secret; c != nil {
			kinds++
			errs = append(errs, validateProjection(c.Name, c.Items, unique, at.Child("secret"))...)
		}
		if d := s.DownwardAPI; d != nil {
			kinds++
			errs = append(errs, validateDownward(d.Items, at.Child("downwardAPI", "items"))...)
			for j, item := range d.Items {
				unique(item.Path, at.Child("downwardAPI", "items").Index(j).Child("path"))
			}
		}
		foreign := s.ServiceAccountToken != nil || s.ClusterTrustBundle != nil || s.PodCertificate != nil // refused by name already
		switch {
		case kinds > 1:
			errs = append(errs, field.Forbidden(at, "may not specify more than 1 volume type"))
		case kinds == 0 && !foreign:
			errs = append(errs, field.Required(at, "must specify one of: `configMap`, `secret` or `downwardAPI`"))
		}
	}
	return errs
}

func validateProjection(name string, items []corev1.KeyToPath, unique func(string, *field.Path), at *field.Path) field.ErrorList {
	errs := validateItems(items, at.Child("items"))
	if name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	for i, item := range items {
		unique(item.Path, at.Child("items").Index(i).Child("path"))
	}
	return errs
}

// validateMounts checks where a container sees the pod's volumes.
func validateMounts(mounts []corev1.VolumeMount, volumes map[string]bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	places := seen[string]{}
	for i, m := range mounts {
		at := at.Index(i)
		switch {
		case m.Name == "":
			errs = append(errs, field.Required(at.Child("name"), ""))
		case !volumes[m.Name]:
			errs = append(errs, field.NotFound(at.Child("name"), m.Name))
		}
		switch {
		case m.MountPath == "":
			errs = append(errs, field.Required(at.Child("mountPath"), ""))
		case !path.IsAbs(m.MountPath):
			errs = append(errs, field.Invalid(at.Child("mountPath"), m.MountPath, "must be an absolute path"))
		}
		if m.MountPath != "" && places.again(m.MountPath) {
			errs = append(errs, field.Invalid(at.Child("mountPath"), m.MountPath, "must be unique"))
		}
		if m.SubPath != "" {
			errs = append(errs, validateDescending(m.SubPath, at.Child("subPath"))...)
		}
	}
	return errs
}
