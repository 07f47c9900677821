package resource

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// Columns are named, typed and described as Kubernetes' own server does (pkg/printers/internalversion), so that
// kubectl's output is the same to the letter.

// nameColumn and ageColumn are in every table.
var (
	nameColumn = metav1.TableColumnDefinition{
		Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"],
	}
	ageColumn = column("Age", "string", metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"])
)

func column(name, kind, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: kind, Description: description}
}

// wide makes a column one that `kubectl get -o wide` alone shows.
func wide(c metav1.TableColumnDefinition) metav1.TableColumnDefinition {
	c.Priority = 1
	return c
}

// none stands for an empty cell, unknown for what nobody has said.
const (
	none    = "<none>"
	unknown = "<unknown>"
)

// orNone is a text, or none; likewise orUnknown.
func orNone(text string) string { return or(text, none) }

func orUnknown(text string) string { return or(text, unknown) }

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// age is how long ago something was, as people say it: 5m12s, 3d.
func age(since metav1.Time, now time.Time) string {
	if since.IsZero() {
		return unknown
	}
	return duration.HumanDuration(now.Sub(since.Time))
}

// containerCells are the names and the images of containers.
func containerCells(containers []corev1.Container) (names, images string) {
	var n, i []string
	for _, c := range containers {
		n = append(n, c.Name)
		i = append(i, c.Image)
	}
	return strings.Join(n, ","), strings.Join(i, ",")
}
