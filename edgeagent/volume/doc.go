// Package volume makes the volumes of pods on the node:
//
//	<root>/<pod uid>/volumes/<name>/           an emptyDir, or the files of ConfigMaps, Secrets and fields
//	<root>/<pod uid>/subpaths/<container>/<n>  a part of a volume, bound there for one mount of a container
//
// What may be secret lies on a tmpfs. Files appear under their names as links to ..data/<path>, and ..data is a link
// to a directory of one version; a change is a new directory and one rename of ..data, so whoever reads sees all of
// the old files or all of the new ones, as with the kubelet. What has not changed is not written.
//
// The mount table is the truth about what is mounted, so whatever a crash leaves is found and taken down. Nothing is
// removed while anything is still mounted below it: behind a bind of a hostPath lie the node's own files. Paths that
// a container may have planted are never followed out of their volume.
package volume
