package apiserver

import (
	"bytes"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

// What stands in the place of a Secret's value.
const (
	hidden      = "(hidden)"
	hiddenOther = "(hidden, and another value)"
)

// hide replaces what Secrets hold: it shows which keys there are, and which of them differ.
func hide(lost, current resource.Object) {
	l, _ := lost.(*corev1.Secret)
	c, _ := current.(*corev1.Secret)
	if l != nil {
		values := l.Data
		l.StringData = map[string]string{}
		for name, value := range values {
			l.StringData[name] = hidden
			if c == nil {
				continue
			}
			if other, both := c.Data[name]; both && !bytes.Equal(other, value) {
				l.StringData[name] = hiddenOther
			}
		}
	}
	if c != nil {
		c.StringData = map[string]string{}
		for name := range c.Data {
			c.StringData[name] = hidden
		}
	}
	for _, s := range []*corev1.Secret{l, c} {
		if s == nil {
			continue
		}
		s.Data = nil
		if _, ok := s.Annotations[corev1.LastAppliedConfigAnnotation]; ok {
			s.Annotations[corev1.LastAppliedConfigAnnotation] = hidden // it has the values again
		}
	}
}
