package pod

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strconv"
)

// VolumeKind is where the contents of a volume come from.
type VolumeKind string

// The kinds of volume.
const (
	EmptyVolume VolumeKind = "empty" // the pod's own
	HostVolume  VolumeKind = "host"  // a path of the node
	FileVolume  VolumeKind = "files" // ConfigMaps, Secrets, fields of the pod
)

// Volume is one volume of a pod, with everything that is to be in it.
type Volume struct {
	Name      string
	Kind      VolumeKind
	Memory    bool   // EmptyVolume, FileVolume: on a tmpfs
	Group     *int64 // EmptyVolume, FileVolume: the group that may read, and write if containers may; nil: root's
	SizeBytes int64  // EmptyVolume in memory: its size; 0: the kernel's choice
	HostPath  string // HostVolume
	HostType  string // HostVolume: what must be there, in Kubernetes' words; empty: anything
	Files     []File // FileVolume, sorted by path
}

// File is one file of a volume.
type File struct {
	Path string // relative, clean, and below the volume
	Mode uint32
	Data []byte // may be secret: never logged
}

// SubPath is a part of a volume that is mounted by itself.
type SubPath struct {
	Place  string // where it has to be bound, as SubPathDir says
	Volume string // path of the volume on the node
	Path   string // relative
}

// Dir is where all that belongs to a pod lies, below the root of all pods.
func Dir(root, uid string) string { return filepath.Join(root, uid) }

// VolumeDir is where a volume lies that is not a path of the node.
func VolumeDir(root, uid, name string) string { return filepath.Join(Dir(root, uid), "volumes", name) }

// SubPathDir is where the n-th mount of a container is bound, if it is of a part of a volume.
func SubPathDir(root, uid, container string, n int) string {
	return filepath.Join(Dir(root, uid), "subpaths", container, strconv.Itoa(n))
}

// digestOf tells whether volumes have changed.
func digestOf(volumes []Volume) [32]byte {
	sum := sha256.New()
	for _, v := range volumes {
		fmt.Fprintf(sum, "%q %q %t %d %q %q %d\n", v.Name, v.Kind, v.Memory, v.SizeBytes, v.HostPath, v.HostType, len(v.Files))
		for _, f := range v.Files {
			fmt.Fprintf(sum, "%q %o %d\n", f.Path, f.Mode, len(f.Data))
			sum.Write(f.Data)
		}
	}
	return [32]byte(sum.Sum(nil))
}

// mount makes the pod's volumes what they are to be; it reports whether they are there, so that containers can
// start. What has changed since is brought up to date while they run.
func (d *decider) mount() bool {
	if len(d.pod.Spec.Volumes) == 0 {
		return true
	}
	volumes, err := d.s.Volumes()
	if err != nil {
		if d.mounted == nil && d.mountError != err.Error() {
			d.mountError = err.Error()
			d.say("", true, "FailedMount", err.Error())
		}
		return d.mounted != nil // what was there stays as it is
	}
	d.mountError = ""
	if digest := digestOf(volumes); d.mounted == nil || *d.mounted != digest {
		why := "for the containers"
		if d.mounted != nil {
			why = "what they show has changed"
		}
		d.do(Action{Kind: Mount, Volumes: volumes, Reason: why})
	}
	return d.mounted != nil
}

// releaseAll takes down network and volumes, and reports whether there were none.
func (d *decider) releaseAll(why string) bool {
	gone := true
	if d.s.HasNetwork || d.net != nil {
		gone = false
		d.do(Action{Kind: Release, Reason: why})
	}
	if d.s.HasVolumes || d.mounted != nil {
		gone = false
		d.do(Action{Kind: Unmount, Reason: why})
	}
	return gone
}
