package apiserver

import (
	"net/http"
	"strings"

	"github.com/munnerz/goautoneg"
	discoveryv2 "k8s.io/api/apidiscovery/v2"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/resource"
)

// discovery is what clients learn the served kinds from, in both forms: a document a path, and aggregated.
type discovery struct {
	documents  map[string]runtime.Object // by path
	aggregated map[string]*discoveryv2.APIGroupDiscoveryList
}

// aggregatedType is the content type of the aggregated form, exactly as client-go compares it.
const aggregatedType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

func newDiscovery(resources []*resource.Resource) *discovery {
	core := &metav1.APIVersions{Versions: []string{"v1"}, ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{}}
	core.Kind = "APIVersions"
	groups := &metav1.APIGroupList{Groups: []metav1.APIGroup{}}
	groups.APIVersion, groups.Kind = "v1", "APIGroupList"
	d := &discovery{
		documents:  map[string]runtime.Object{"/api": core, "/apis": groups},
		aggregated: map[string]*discoveryv2.APIGroupDiscoveryList{"/api": newAggregated(), "/apis": newAggregated()},
	}
	for _, gv := range append(versionsOf(resources), bareVersions...) {
		list := &metav1.APIResourceList{GroupVersion: gv.String(), APIResources: []metav1.APIResource{}}
		list.APIVersion, list.Kind = "v1", "APIResourceList"
		var all []discoveryv2.APIResourceDiscovery
		for _, r := range resources {
			if r.GVK.GroupVersion() == gv {
				list.APIResources = append(list.APIResources, describe(r)...)
				all = append(all, describeAggregated(r))
			}
		}
		version := discoveryv2.APIVersionDiscovery{Version: gv.Version, Resources: all, Freshness: discoveryv2.DiscoveryFreshnessCurrent}
		if gv.Group == "" {
			d.documents["/api/"+gv.Version] = list
			addGroup(d.aggregated["/api"], gv.Group, version)
			continue
		}
		d.documents["/apis/"+gv.String()] = list
		addGroup(d.aggregated["/apis"], gv.Group, version)
		said := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
		group := metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{said}, PreferredVersion: said}
		groups.Groups = append(groups.Groups, group)
		group.APIVersion, group.Kind = "v1", "APIGroup"
		d.documents["/apis/"+gv.Group] = &group
	}
	return d
}

func newAggregated() *discoveryv2.APIGroupDiscoveryList {
	list := &discoveryv2.APIGroupDiscoveryList{Items: []discoveryv2.APIGroupDiscovery{}}
	list.SetGroupVersionKind(discoveryv2.SchemeGroupVersion.WithKind("APIGroupDiscoveryList"))
	return list
}

func addGroup(list *discoveryv2.APIGroupDiscoveryList, group string, version discoveryv2.APIVersionDiscovery) {
	list.Items = append(list.Items, discoveryv2.APIGroupDiscovery{
		ObjectMeta: metav1.ObjectMeta{Name: group}, Versions: []discoveryv2.APIVersionDiscovery{version},
	})
}

// bareVersions are group versions without a resource of their own: kubectl before 1.21 evicts only where there is
// a group "policy"; where there is none, it deletes pods and says that it has deleted the node.
var bareVersions = []schema.GroupVersion{policyv1.SchemeGroupVersion}

// versionsOf are the group versions in the order in which they first come.
func versionsOf(resources []*resource.Resource) []schema.GroupVersion {
	var versions []schema.GroupVersion
	seen := map[schema.GroupVersion]bool{}
	for _, r := range resources {
		if gv := r.GVK.GroupVersion(); !seen[gv] {
			seen[gv] = true
			versions = append(versions, gv)
		}
	}
	return versions
}

// kindOf is what discovery says a subresource shows.
func (sub subresource) kindOf(r *resource.Resource) schema.GroupVersionKind {
	if sub.kind.Empty() {
		return r.GVK
	}
	return sub.kind
}

// describe is a resource and its subresources as the plain form lists them.
func describe(r *resource.Resource) []metav1.APIResource {
	all := []metav1.APIResource{{
		Name: r.Plural(), SingularName: r.Singular, Namespaced: r.Namespaced, Kind: r.GVK.Kind,
		Verbs: verbs(r), ShortNames: r.ShortNames, Categories: r.Categories,
	}}
	for _, sub := range subresourcesOf(r) {
		kind := sub.kindOf(r)
		d := metav1.APIResource{Name: r.Plural() + "/" + sub.name, Namespaced: r.Namespaced, Kind: kind.Kind, Verbs: sub.verbs}
		if kind.GroupVersion() != r.GVK.GroupVersion() {
			d.Group, d.Version = kind.Group, kind.Version
		}
		all = append(all, d)
	}
	return all
}

// describeAggregated is a resource as the aggregated form lists it.
func describeAggregated(r *resource.Resource) discoveryv2.APIResourceDiscovery {
	scope := discoveryv2.ScopeCluster
	if r.Namespaced {
		scope = discoveryv2.ScopeNamespace
	}
	d := discoveryv2.APIResourceDiscovery{
		Resource: r.Plural(), ResponseKind: metaKind(r.GVK), Scope: scope, SingularResource: r.Singular,
		Verbs: verbs(r), ShortNames: r.ShortNames, Categories: r.Categories,
	}
	for _, sub := range subresourcesOf(r) {
		d.Subresources = append(d.Subresources, discoveryv2.APISubresourceDiscovery{
			Subresource: sub.name, ResponseKind: metaKind(sub.kindOf(r)), Verbs: sub.verbs,
		})
	}
	return d
}

func metaKind(k schema.GroupVersionKind) *metav1.GroupVersionKind {
	return &metav1.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Kind}
}

// discover serves a discovery document; false when the path has none.
func (s *Server) discover(w http.ResponseWriter, r *http.Request) bool {
	path := strings.TrimSuffix(r.URL.Path, "/")
	if list := s.discovery.aggregated[path]; list != nil {
		w.Header().Add("Vary", "Accept")
		if wantsAggregated(r.Header.Get("Accept")) {
			data, err := encode(mediaJSON, list)
			if err != nil {
				s.fail(w, r, err, schema.GroupResource{}, "")
				return true
			}
			s.writeBytes(w, r, http.StatusOK, aggregatedType, data)
			return true
		}
	}
	o := s.discovery.documents[path]
	if o == nil {
		return false
	}
	f, ok := negotiate(r.Header.Get("Accept"))
	if !ok {
		f = format{media: mediaJSON}
	}
	s.write(w, r, http.StatusOK, f, o)
	return true
}

// wantsAggregated reports whether the first thing that the client accepts, and that there is, is the
// aggregated form.
func wantsAggregated(accept string) bool {
	for _, clause := range goautoneg.ParseAccept(accept) {
		if clause.Type != "application" || clause.SubType != "json" {
			continue
		}
		switch clause.Params["as"] {
		case "":
			return false
		case "APIGroupDiscoveryList":
			if clause.Params["g"] == discoveryv2.GroupName && clause.Params["v"] == "v2" {
				return true
			}
		}
	}
	return false
}
