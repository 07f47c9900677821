package resource

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Services is v1 Service. It is a stored object so far: no address is given out for it.
var Services = &Resource{
	Kind:       "services",
	GVK:        corev1.SchemeGroupVersion.WithKind("Service"),
	Singular:   "service",
	ShortNames: []string{"svc"},
	Categories: []string{"all"},
	Namespaced: true,
	New:        func() Object { return &corev1.Service{} },
	NewList:    func() runtime.Object { return &corev1.ServiceList{} },

	Default: one(defaultService),
	PrepareCreate: creating(func(s *corev1.Service) {
		s.Status = corev1.ServiceStatus{}
		completeClusterIPs(s)
	}),
	PrepareUpdate: updating(func(updated, old *corev1.Service) {
		updated.Status = old.Status
		if updated.Spec.ClusterIP == "" && len(updated.Spec.ClusterIPs) == 0 {
			updated.Spec.ClusterIP, updated.Spec.ClusterIPs = old.Spec.ClusterIP, old.Spec.ClusterIPs
		}
		completeClusterIPs(updated)
	}),
	Validate: check(validateService),

	Columns: []metav1.TableColumnDefinition{
		nameColumn,
		column("Type", "string", corev1.ServiceSpec{}.SwaggerDoc()["type"]),
		column("Cluster-IP", "string", corev1.ServiceSpec{}.SwaggerDoc()["clusterIP"]),
		column("External-IP", "string", corev1.ServiceSpec{}.SwaggerDoc()["externalIPs"]),
		column("Port(s)", "string", corev1.ServiceSpec{}.SwaggerDoc()["ports"]),
		ageColumn,
		wide(column("Selector", "string", corev1.ServiceSpec{}.SwaggerDoc()["selector"])),
	},
	Row: row(func(s *corev1.Service, now time.Time) []any {
		var ports []string
		for _, p := range s.Spec.Ports {
			ports = append(ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
		}
		return []any{
			s.Name, string(s.Spec.Type), orNone(s.Spec.ClusterIP), orNone(strings.Join(s.Spec.ExternalIPs, ",")),
			orNone(strings.Join(ports, ",")), age(s.CreationTimestamp, now), labels.FormatLabels(s.Spec.Selector),
		}
	}),

	Fields: map[string]func(Object) string{
		"spec.clusterIP": text(func(s *corev1.Service) string { return s.Spec.ClusterIP }),
		"spec.type":      text(func(s *corev1.Service) string { return string(s.Spec.Type) }),
	},
	Status: true,
}

var serviceFields = allow("metadata", "status", "spec.type=ClusterIP", "spec.clusterIP=None", "spec.clusterIPs=None",
	"spec.selector", "spec.ports.name", "spec.ports.protocol", "spec.ports.port", "spec.ports.targetPort",
	"spec.ports.appProtocol", "spec.sessionAffinity=None", "spec.internalTrafficPolicy=Cluster",
	"spec.ipFamilies=IPv4", "spec.ipFamilyPolicy=SingleStack")

// defaultService fills in what Kubernetes does (pkg/apis/core/v1/defaults.go).
func defaultService(s *corev1.Service) {
	if s.Spec.SessionAffinity == "" {
		s.Spec.SessionAffinity = corev1.ServiceAffinityNone
	}
	if s.Spec.SessionAffinity == corev1.ServiceAffinityNone {
		s.Spec.SessionAffinityConfig = nil
	}
	if s.Spec.Type == "" {
		s.Spec.Type = corev1.ServiceTypeClusterIP
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		if p.Protocol == "" {
			p.Protocol = corev1.ProtocolTCP
		}
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	if s.Spec.InternalTrafficPolicy == nil && s.Spec.Type == corev1.ServiceTypeClusterIP {
		s.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyCluster)
	}
}

// completeClusterIPs makes clusterIP and clusterIPs say the same when one is missing.
func completeClusterIPs(s *corev1.Service) {
	switch {
	case s.Spec.ClusterIP != "" && len(s.Spec.ClusterIPs) == 0:
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	case s.Spec.ClusterIP == "" && len(s.Spec.ClusterIPs) > 0:
		s.Spec.ClusterIP = s.Spec.ClusterIPs[0]
	}
}

func validateService(s, old *corev1.Service) field.ErrorList {
	errs := serviceFields.refuse(s)
	path := field.NewPath("spec")
	errs = append(errs, validateMeta(s, old, true, validation.NameIsDNS1035Label)...)
	if old != nil {
		errs = append(errs, validation.ValidateImmutableField(s.Spec.ClusterIP, old.Spec.ClusterIP, path.Child("clusterIP"))...)
	}
	errs = append(errs, metavalidation.ValidateLabels(s.Spec.Selector, path.Child("selector"))...)
	return append(errs, validateServicePorts(s, path.Child("ports"))...)
}

func validateServicePorts(s *corev1.Service, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(s.Spec.Ports) == 0 && s.Spec.ClusterIP != corev1.ClusterIPNone && s.Spec.Type == corev1.ServiceTypeClusterIP {
		errs = append(errs, field.Required(path, ""))
	}
	type id struct {
		protocol corev1.Protocol
		port     int32
	}
	names, ports := seen[string]{}, seen[id]{}
	for i, p := range s.Spec.Ports {
		at := path.Index(i)
		switch {
		case p.Name == "" && len(s.Spec.Ports) > 1:
			errs = append(errs, field.Required(at.Child("name"), ""))
		case p.Name != "":
			errs = append(errs, invalid(at.Child("name"), p.Name, utilvalidation.IsDNS1123Label(p.Name))...)
			if names.again(p.Name) {
				errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
			}
		}
		errs = append(errs, invalid(at.Child("port"), p.Port, utilvalidation.IsValidPortNum(int(p.Port)))...)
		errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)...)
		if p.TargetPort.Type == intstr.Int {
			errs = append(errs, invalid(at.Child("targetPort"), p.TargetPort.IntVal, utilvalidation.IsValidPortNum(int(p.TargetPort.IntVal)))...)
		} else {
			errs = append(errs, invalid(at.Child("targetPort"), p.TargetPort.StrVal, utilvalidation.IsValidPortName(p.TargetPort.StrVal))...)
		}
		if ports.again(id{p.Protocol, p.Port}) {
			errs = append(errs, field.Duplicate(at, fmt.Sprintf("%d/%s", p.Port, p.Protocol)))
		}
	}
	return errs
}
