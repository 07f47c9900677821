package pod

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ContainerID names one attempt of one container on the engine: <pod uid>-<container>-<attempt>.
func ContainerID(podUID, container string, attempt int) string {
	return podUID + "-" + container + "-" + strconv.Itoa(attempt)
}

// uidLength is that of a pod's uid, an RFC 4122 string.
const uidLength = 36

// ParseContainerID takes a ContainerID apart.
func ParseContainerID(id string) (podUID, container string, attempt int, err error) {
	bad := fmt.Errorf("%q is not a container id (<pod uid>-<container>-<attempt>)", id)
	if len(id) < uidLength+len("-c-0") || id[uidLength] != '-' {
		return "", "", 0, bad
	}
	rest := id[uidLength+1:]
	dash := strings.LastIndexByte(rest, '-')
	if dash < 1 {
		return "", "", 0, bad
	}
	attempt, err = strconv.Atoi(rest[dash+1:])
	if err != nil || attempt < 0 {
		return "", "", 0, bad
	}
	return id[:uidLength], rest[:dash], attempt, nil
}

// SpecHash changes when a running container has to be replaced to become what the spec says. Of a pod that
// exists the API lets only the image change, so the hash holds name and image and nothing else: a field that a
// later version defaults differently must not restart a fleet (the kubelet learned that, KEP-1287).
func SpecHash(c *corev1.Container) string {
	sum := sha256.Sum256([]byte(c.Name + "\x00" + c.Image))
	return hex.EncodeToString(sum[:8])
}

// PullPolicy is the policy in force: Always for a tag that moves (none, or latest), otherwise IfNotPresent.
func PullPolicy(c *corev1.Container) corev1.PullPolicy {
	if c.ImagePullPolicy != "" {
		return c.ImagePullPolicy
	}
	if moves(c.Image) {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func moves(image string) bool {
	if strings.Contains(image, "@") {
		return false
	}
	name := image[strings.LastIndex(image, "/")+1:]
	_, tag, tagged := strings.Cut(name, ":")
	return !tagged || tag == "latest"
}

// Sidecar reports whether an init container goes on running beside the others.
func Sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}
