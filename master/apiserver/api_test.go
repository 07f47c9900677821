package apiserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/controller/rbac"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// api is a server over a store in memory, with the namespace default and virtual time.
type api struct {
	t            testing.TB
	store        store.Store
	server       *Server
	issuer       *ca.Authority // of users' certificates
	certificates sync.Map
	handler      http.Handler
	elapsed      atomic.Int64 // nanoseconds since the start
}

var started = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func newAPI(t testing.TB, edit ...func(*Config)) *api {
	t.Helper()
	a := &api{t: t, store: store.NewMemory(store.Config{Schema: resource.Schema()}), issuer: newAuthority(t)}
	c := Config{
		Store: a.store, Authority: a.issuer, Resources: resource.All, Log: zerolog.Nop(), Version: "test",
		Clock: func() clock.Now {
			boot := time.Duration(a.elapsed.Load())
			return clock.Now{Wall: started.Add(boot), Boot: boot}
		},
	}
	if _, err := a.store.Commit(context.Background(), rbac.Seed(a.store.View(), c.Clock())); err != nil {
		t.Fatal(err)
	}
	for _, e := range edit {
		e(&c)
	}
	a.store, a.issuer = c.Store, c.Authority
	var err error
	if a.server, err = New(c); err != nil {
		t.Fatal(err)
	}
	a.handler = a.server.Handler()
	a.put(resource.Namespaces, namespace("default", nil))
	return a
}

// put stores an object past the API.
func (a *api) put(r *resource.Resource, o resource.Object) change.Rev {
	a.t.Helper()
	value, err := resource.Encode(o)
	if err != nil {
		a.t.Fatal(err)
	}
	rev, err := a.store.Commit(context.Background(), []change.Change{
		{Key: r.Key(o.GetNamespace(), o.GetName()), Base: change.Any, Value: value}})
	if err != nil {
		a.t.Fatal(err)
	}
	return rev
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: resource.DeriveUID(name), Labels: labels},
		Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
		Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
	}
}

func pod(name string, edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox"}}},
	}
	for _, e := range edit {
		e(p)
	}
	return p
}

func configMap(name string, labels map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Labels: labels},
	}
}

func deployment(name string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox"}}},
			},
		},
	}
}

// Paths that many tests use.
const (
	podsPath        = "/api/v1/namespaces/default/pods"
	configMapsPath  = "/api/v1/namespaces/default/configmaps"
	deploymentsPath = "/apis/apps/v1/namespaces/default/deployments"
)

// ask is a request of a test.
type ask struct {
	method, path string
	body         any    // nil, string, []byte, or an object that is sent as JSON
	contentType  string // of the body
	accept       string
	header       http.Header
	user         string   // "": somebody
	groups       []string // of the user; nil: admins; empty: anonymous
}

// reply is the answer to an ask.
type reply struct {
	t      testing.TB
	code   int
	header http.Header
	body   []byte
}

func (a *api) request(q ask) *http.Request {
	a.t.Helper()
	var body io.Reader
	switch b := q.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	case []byte:
		body = bytes.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			a.t.Fatal(err)
		}
		body = bytes.NewReader(data)
	}
	r := httptest.NewRequest(q.method, q.path, body)
	if q.contentType != "" {
		r.Header.Set("Content-Type", q.contentType)
	}
	if q.accept != "" {
		r.Header.Set("Accept", q.accept)
	}
	for k, v := range q.header {
		r.Header[k] = v
	}
	if q.groups == nil {
		q.groups = []string{GroupAdmins}
	}
	if q.user == "" {
		q.user = "somebody"
	}
	r.TLS = &tls.ConnectionState{}
	if len(q.groups) > 0 {
		r.TLS.PeerCertificates = []*x509.Certificate{a.certificate(q.user, q.groups)}
	}
	return r
}

// certificate is that of a user, made once.
func (a *api) certificate(name string, groups []string) *x509.Certificate {
	a.t.Helper()
	key := fmt.Sprintf("%q %q", name, groups)
	if known, ok := a.certificates.Load(key); ok {
		return known.(*x509.Certificate)
	}
	made, err := a.issuer.Client(rand.Reader, name, groups, started)
	if err != nil {
		a.t.Fatal(err)
	}
	a.certificates.Store(key, made.Leaf)
	return made.Leaf
}

func (a *api) do(q ask) reply {
	a.t.Helper()
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, a.request(q))
	return reply{t: a.t, code: w.Code, header: w.Header(), body: w.Body.Bytes()}
}

func (a *api) get(path string) reply { a.t.Helper(); return a.do(ask{method: "GET", path: path}) }
func (a *api) post(path string, body any) reply {
	a.t.Helper()
	return a.do(ask{method: "POST", path: path, body: body})
}

// into decodes the answer, which must have the code.
func (r reply) into(code int, o any) {
	r.t.Helper()
	if r.code != code {
		r.t.Fatalf("answered %d, not %d: %s", r.code, code, r.body)
	}
	if err := json.Unmarshal(r.body, o); err != nil {
		r.t.Fatalf("answered %s: %v", r.body, err)
	}
}

func (r reply) pod(code int) *corev1.Pod {
	r.t.Helper()
	p := &corev1.Pod{}
	r.into(code, p)
	return p
}

// fails checks a Status that says no.
func (r reply) fails(code int, reason metav1.StatusReason, message string) *metav1.Status {
	r.t.Helper()
	s := &metav1.Status{}
	r.into(code, s)
	if s.Kind != "Status" || s.Status != metav1.StatusFailure || s.Reason != reason || s.Code != int32(code) {
		r.t.Errorf("answered %s, which is no Status with the reason %s", r.body, reason)
	}
	if !strings.Contains(s.Message, message) {
		r.t.Errorf("says %q, not %q", s.Message, message)
	}
	return s
}

// commit stores an encoded record.
func (a *api) commit(kind change.Kind, name string, value []byte) {
	a.t.Helper()
	_, err := a.store.Commit(context.Background(), []change.Change{
		{Key: change.Key{Kind: kind, Name: name}, Base: change.Any, Value: value}})
	if err != nil {
		a.t.Fatal(err)
	}
}
