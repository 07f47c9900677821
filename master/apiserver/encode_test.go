package apiserver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/skerry-edge/skerry/master/resource"
)

// clientCodec encodes and decodes as client-go does.
func clientCodec(t *testing.T, media string) runtime.Serializer {
	t.Helper()
	info, ok := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), media)
	if !ok {
		t.Fatalf("client-go has no codec for %s", media)
	}
	return info.Serializer
}

func clientEncode(t *testing.T, media string, o runtime.Object) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := clientCodec(t, media).Encode(o, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Whatever of the three encodings a client-go speaks, the same pod comes in and the same comes out.
func TestEncodingsAgreeWithClientGo(t *testing.T) {
	for _, media := range []string{mediaJSON, mediaYAML, mediaProtobuf} {
		t.Run(media, func(t *testing.T) {
			a := newAPI(t)
			r := a.do(ask{method: "POST", path: podsPath, body: clientEncode(t, media, pod("p")), contentType: media, accept: media})
			if r.code != http.StatusCreated || r.header.Get("Content-Type") != media {
				t.Fatalf("answered %d %s: %s", r.code, r.header, r.body)
			}
			created, _, err := clientCodec(t, media).Decode(r.body, nil, &corev1.Pod{})
			if err != nil {
				t.Fatal(err)
			}
			stored := a.get(podsPath + "/p").pod(http.StatusOK)
			stored.TypeMeta = created.(*corev1.Pod).TypeMeta
			if diff := cmp.Diff(stored, created); diff != "" {
				t.Error(diff)
			}
			list := a.do(ask{method: "GET", path: podsPath, accept: media})
			o, kind, err := clientCodec(t, media).Decode(list.body, nil, &corev1.PodList{})
			if err != nil || kind.Kind != "PodList" {
				t.Fatalf("decoded %v: %v", kind, err)
			}
			pods := o.(*corev1.PodList)
			if len(pods.Items) != 1 || pods.Items[0].UID != stored.UID || pods.ResourceVersion != stored.ResourceVersion {
				t.Errorf("listed %+v", pods)
			}
			missing := a.do(ask{method: "GET", path: podsPath + "/none", accept: media})
			o, _, err = clientCodec(t, media).Decode(missing.body, nil, &metav1.Status{})
			if err != nil || o.(*metav1.Status).Reason != metav1.StatusReasonNotFound {
				t.Errorf("decoded %v: %v", o, err)
			}
			gone := a.do(ask{method: "DELETE", path: podsPath + "/p", contentType: media,
				body: clientEncode(t, media, &metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"}})})
			gone.success("p")
		})
	}
}

// Broken bodies are 400, and never panic.
func TestDecodeBroken(t *testing.T) {
	a := newAPI(t)
	whole := clientEncode(t, mediaProtobuf, pod("p"))
	for name, body := range map[string][]byte{
		"no prefix": whole[4:], "cut": whole[:len(whole)/2], "empty": {}, "prefix only": whole[:4],
	} {
		r := a.do(ask{method: "POST", path: podsPath, body: body, contentType: mediaProtobuf})
		if r.code < 400 || r.code >= 500 {
			t.Errorf("%s: answered %d: %s", name, r.code, r.body)
		}
	}
	for media, body := range map[string]string{mediaJSON: `{"metadata":`, mediaYAML: "a: [", "application/xml": "<x/>"} {
		r := a.do(ask{method: "POST", path: podsPath, body: body, contentType: media})
		if r.code != http.StatusBadRequest && r.code != http.StatusUnsupportedMediaType {
			t.Errorf("%s: answered %d: %s", media, r.code, r.body)
		}
	}
}

// The Accept header's order counts; a form that can't be had is passed over; nothing possible is 406.
func TestNegotiate(t *testing.T) {
	cases := []struct{ accept, want string }{
		{"", mediaJSON},
		{"*/*", mediaJSON},
		{mediaYAML, mediaYAML},
		{"application/cbor, " + mediaProtobuf + ", " + mediaJSON, mediaProtobuf},
		{"application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", mediaJSON},
		{"application/json;as=Table;v=v1;g=meta.k8s.io,application/json", mediaJSON + " Table"},
		{mediaProtobuf + ";as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io", mediaJSON + " Table"},
		{"application/json;q=0.1,application/yaml;q=0.9", mediaYAML},
		{"text/html", "406"},
	}
	for _, c := range cases {
		f, ok := negotiate(c.accept, asTable)
		got := strings.TrimSpace(f.media + " " + f.as)
		if !ok {
			got = "406"
		}
		if got != c.want {
			t.Errorf("%q: negotiated %q, not %q", c.accept, got, c.want)
		}
	}
}

// Large answers are compressed for those that can read it, small ones never.
func TestGzip(t *testing.T) {
	a := newAPI(t)
	for i := range 40 {
		c := configMap(fmt.Sprint("c", i), nil)
		c.Data = map[string]string{"a": strings.Repeat("x", 8<<10)}
		a.put(resource.ConfigMaps, c)
	}
	plain := a.get(configMapsPath)
	zipped := a.do(ask{method: "GET", path: configMapsPath, header: http.Header{"Accept-Encoding": {"gzip"}}})
	if zipped.header.Get("Content-Encoding") != "gzip" || len(zipped.body) > len(plain.body)/10 {
		t.Fatalf("%d bytes came as %d: %v", len(plain.body), len(zipped.body), zipped.header)
	}
	z, err := gzip.NewReader(bytes.NewReader(zipped.body))
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(z); err != nil || !bytes.Equal(data, plain.body) {
		t.Errorf("the compressed answer differs: %v", err)
	}
	small := a.do(ask{method: "GET", path: configMapsPath + "/c1", header: http.Header{"Accept-Encoding": {"gzip"}}})
	if small.header.Get("Content-Encoding") != "" || small.header.Get("Content-Length") == "" {
		t.Errorf("a small answer has the header %v", small.header)
	}
}

// A list as YAML is the list as JSON.
func TestListYAML(t *testing.T) {
	a := newAPI(t)
	a.put(resource.ConfigMaps, configMap("c", nil))
	asJSON, err := yaml.YAMLToJSON(a.do(ask{method: "GET", path: configMapsPath, accept: mediaYAML}).body)
	if err != nil {
		t.Fatal(err)
	}
	var one, other any
	if err := json.Unmarshal(asJSON, &one); err != nil {
		t.Fatal(err)
	}
	a.get(configMapsPath).into(http.StatusOK, &other)
	if diff := cmp.Diff(other, one); diff != "" {
		t.Error(diff)
	}
}
