package resource

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// replicas is the number of replicas asked for: 1 when nothing is said.
func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// selectorText is a selector in the form of a query parameter.
func selectorText(s *metav1.LabelSelector) string {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return "" // validation refuses such selectors
	}
	return selector.String()
}
