package resource

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// defaultProbe fills in Kubernetes' numbers (SetDefaults_Probe).
func defaultProbe(p *corev1.Probe) {
	if p == nil {
		return
	}
	for _, number := range []struct {
		value    *int32
		standard int32
	}{{&p.TimeoutSeconds, 1}, {&p.PeriodSeconds, 10}, {&p.SuccessThreshold, 1}, {&p.FailureThreshold, 3}} {
		if *number.value == 0 {
			*number.value = number.standard
		}
	}
	defaultHTTPGet(p.HTTPGet)
}

func defaultHTTPGet(h *corev1.HTTPGetAction) {
	if h == nil {
		return
	}
	if h.Path == "" {
		h.Path = "/"
	}
	if h.Scheme == "" {
		h.Scheme = corev1.URISchemeHTTP
	}
}

// validateProbes checks the probes of a container with Kubernetes' rules and words (validateProbe).
func validateProbes(c *corev1.Container, path *field.Path) field.ErrorList {
	errs := validateProbe(c.LivenessProbe, path.Child("livenessProbe"))
	errs = append(errs, validateProbe(c.ReadinessProbe, path.Child("readinessProbe"))...)
	errs = append(errs, validateProbe(c.StartupProbe, path.Child("startupProbe"))...)
	if p := c.LivenessProbe; p != nil && p.SuccessThreshold != 1 {
		errs = append(errs, field.Invalid(path.Child("livenessProbe", "successThreshold"), p.SuccessThreshold, "must be 1"))
	}
	if p := c.StartupProbe; p != nil && p.SuccessThreshold != 1 {
		errs = append(errs, field.Invalid(path.Child("startupProbe", "successThreshold"), p.SuccessThreshold, "must be 1"))
	}
	if p := c.ReadinessProbe; p != nil && p.TerminationGracePeriodSeconds != nil {
		errs = append(errs, field.Invalid(path.Child("readinessProbe", "terminationGracePeriodSeconds"), *p.TerminationGracePeriodSeconds,
			"must not be set for readinessProbes"))
	}
	return errs
}

func validateProbe(p *corev1.Probe, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	h := p.ProbeHandler
	errs := validateHandlers(path, h.Exec, h.HTTPGet, nil, h.TCPSocket)
	if h.GRPC != nil && h.Exec == nil && h.HTTPGet == nil && h.TCPSocket == nil {
		errs = nil // refused by name already
	}
	for _, number := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds}, {"timeoutSeconds", p.TimeoutSeconds},
		{"periodSeconds", p.PeriodSeconds}, {"successThreshold", p.SuccessThreshold}, {"failureThreshold", p.FailureThreshold},
	} {
		errs = append(errs, validation.ValidateNonnegativeField(int64(number.value), path.Child(number.name))...)
	}
	if g := p.TerminationGracePeriodSeconds; g != nil && *g <= 0 {
		errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *g, "must be greater than 0"))
	}
	return errs
}

// validateLifecycle checks hooks. grace is the pod's.
func validateLifecycle(l *corev1.Lifecycle, grace *int64, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if h := l.PostStart; h != nil {
		errs = append(errs, validateHook(h, grace, path.Child("postStart"))...)
	}
	if h := l.PreStop; h != nil {
		errs = append(errs, validateHook(h, grace, path.Child("preStop"))...)
	}
	return errs
}

func validateHook(h *corev1.LifecycleHandler, grace *int64, path *field.Path) field.ErrorList {
	if h.TCPSocket != nil {
		return nil // refused by name already
	}
	errs := validateHandlers(path, h.Exec, h.HTTPGet, h.Sleep, nil)
	if s := h.Sleep; s != nil && grace != nil && (s.Seconds < 0 || s.Seconds > *grace) {
		errs = append(errs, field.Invalid(path.Child("sleep"), s.Seconds, "must be greater than or equal to 0 and less than or equal to terminationGracePeriodSeconds"))
	}
	return errs
}

// validateHandlers checks that there is exactly one way to ask, and that one.
func validateHandlers(path *field.Path, exec *corev1.ExecAction, get *corev1.HTTPGetAction, sleep *corev1.SleepAction, tcp *corev1.TCPSocketAction) field.ErrorList {
	var errs field.ErrorList
	handlers := 0
	one := func(set bool, name string, check func(at *field.Path) field.ErrorList) {
		switch {
		case !set:
			return
		case handlers > 0:
			errs = append(errs, field.Forbidden(path.Child(name), "may not specify more than 1 handler type"))
		default:
			errs = append(errs, check(path.Child(name))...)
		}
		handlers++
	}
	one(exec != nil, "exec", func(at *field.Path) field.ErrorList {
		if len(exec.Command) == 0 {
			return field.ErrorList{field.Required(at.Child("command"), "")}
		}
		return nil
	})
	one(get != nil, "httpGet", func(at *field.Path) field.ErrorList { return validateHTTPGet(get, at) })
	one(tcp != nil, "tcpSocket", func(at *field.Path) field.ErrorList { return validatePortOrName(tcp.Port, at.Child("port")) })
	one(sleep != nil, "sleep", func(*field.Path) field.ErrorList { return nil })
	if handlers == 0 {
		errs = append(errs, field.Required(path, "must specify a handler type"))
	}
	return errs
}

func validateHTTPGet(h *corev1.HTTPGetAction, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if h.Path == "" {
		errs = append(errs, field.Required(path.Child("path"), ""))
	}
	errs = append(errs, validatePortOrName(h.Port, path.Child("port"))...)
	errs = append(errs, oneOf(path.Child("scheme"), h.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)...)
	for i, header := range h.HTTPHeaders {
		at := path.Child("httpHeaders").Index(i)
		errs = append(errs, invalid(at.Child("name"), header.Name, utilvalidation.IsHTTPHeaderName(header.Name))...)
		if strings.ContainsAny(header.Value, "\r\n\x00") {
			errs = append(errs, field.Invalid(at.Child("value"), header.Value, "must not contain line breaks"))
		}
	}
	return errs
}

func validatePortOrName(port intstr.IntOrString, path *field.Path) field.ErrorList {
	if port.Type == intstr.Int {
		return invalid(path, port.IntVal, utilvalidation.IsValidPortNum(int(port.IntVal)))
	}
	return invalid(path, port.StrVal, utilvalidation.IsValidPortName(port.StrVal))
}

// validateInitContainer refuses what only containers that go on running can have.
func validateInitContainer(c *corev1.Container, path *field.Path) field.ErrorList {
	if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
		return nil
	}
	var errs field.ErrorList
	for _, part := range []struct {
		set  bool
		name string
	}{
		{c.Lifecycle != nil, "lifecycle"}, {c.LivenessProbe != nil, "livenessProbe"},
		{c.ReadinessProbe != nil, "readinessProbe"}, {c.StartupProbe != nil, "startupProbe"},
	} {
		if part.set {
			errs = append(errs, field.Forbidden(path.Child(part.name), "may not be set for init containers without restartPolicy=Always"))
		}
	}
	return errs
}
