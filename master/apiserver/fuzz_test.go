package apiserver

import (
	"net/http"
	"net/url"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/skerry-edge/skerry/master/resource"
)

// Whatever a client sends as a body, in whatever encoding and for whatever verb, the answer is a Status or an
// object, never a panic (which would be 500).
func FuzzBodies(f *testing.F) {
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), mediaProtobuf)
	encoded, err := runtime.Encode(info.Serializer, pod("p"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}`))
	f.Add(uint8(1), []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"))
	f.Add(uint8(2), encoded)
	f.Add(uint8(3), []byte(`[{"op":"copy","from":"/metadata","path":"/spec"}]`))
	f.Add(uint8(4), []byte(`{"metadata":{"labels":null},"spec":null}`))
	f.Add(uint8(5), []byte(`{"spec":{"containers":[{"$patch":"replace"}],"$setElementOrder/containers":[{"name":"c"}]}}`))
	f.Add(uint8(6), []byte(`{"propagationPolicy":"Orphan","dryRun":["All"]}`))
	a := newAPI(f)
	f.Fuzz(func(t *testing.T, how uint8, body []byte) {
		a.t = t
		a.put(resource.Pods, pod("p")) // a deletion's body may say that it is no dry run
		kinds := []string{mediaJSON, mediaYAML, mediaProtobuf, jsonPatch, mergePatch, strategicPatch, mediaJSON}
		q := ask{method: "POST", path: podsPath + "?dryRun=All", body: body, contentType: kinds[int(how)%len(kinds)]}
		switch {
		case int(how)%len(kinds) == len(kinds)-1:
			q.method, q.path = "DELETE", podsPath+"/p?dryRun=All"
		case int(how)%len(kinds) >= 3:
			q.method, q.path = "PATCH", podsPath+"/p?dryRun=All"
		}
		if r := a.do(q); r.code == http.StatusInternalServerError || r.code == 0 {
			t.Errorf("%s %s as %s answered %d: %s", q.method, body, q.contentType, r.code, r.body)
		}
	})
}

// Whatever the query of a list or a watch says, it is understood or refused.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		"labelSelector=a%3Db,c+in+(d,e),!f", "fieldSelector=spec.nodeName%3Dn,metadata.name!%3Dp", "limit=5&continue=x",
		"resourceVersion=0&resourceVersionMatch=NotOlderThan", "watch=1&timeoutSeconds=0&allowWatchBookmarks=true", "limit=-1&labelSelector=%00",
		"fieldSelector=a%3D%3D%3D&timeoutSeconds=99999999999999999999",
	} {
		f.Add(q)
	}
	a := newAPI(f)
	a.put(resource.Pods, pod("p"))
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		for name := range values {
			if name == "watch" || name == "sendInitialEvents" {
				return // it would stay
			}
		}
		a.t = t
		if r := a.get(podsPath + "?" + values.Encode()); r.code == http.StatusInternalServerError || r.code == 0 {
			t.Errorf("%s answered %d: %s", query, r.code, r.body)
		}
	})
}

// Whatever a continue token says, it is understood or refused.
func FuzzPosition(f *testing.F) {
	f.Add(position{Rev: 7, After: "a/b"}.token())
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := parsePosition(token)
		if err != nil {
			return
		}
		again, err := parsePosition(p.token())
		if err != nil || again != p {
			t.Errorf("%q became %+v, then %+v: %v", token, p, again, err)
		}
	})
}
