package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"

	"k8s.io/apimachinery/pkg/version"
)

// The version of the Kubernetes API that this is a subset of. kubectl compares it with its own.
const (
	kubernetesMajor = "1"
	kubernetesMinor = "37"
	kubernetesPatch = "2"
)

// health answers in the plain words that probes expect.
func (s *Server) health(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache, private")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "not ready: %v\n", err)
		return
	}
	fmt.Fprint(w, "ok")
}

// version says which Kubernetes this is like, and which Skerry it is.
func (s *Server) version(w http.ResponseWriter, r *http.Request) {
	info := version.Info{
		Major:      kubernetesMajor,
		Minor:      kubernetesMinor,
		GitVersion: "v" + kubernetesMajor + "." + kubernetesMinor + "." + kubernetesPatch + "+skerry",
		GoVersion:  runtime.Version(),
		Compiler:   runtime.Compiler,
		Platform:   runtime.GOOS + "/" + runtime.GOARCH,
	}
	if s.Version != "" {
		info.GitVersion += "." + buildMetadata(s.Version)
	}
	data, err := json.Marshal(info)
	if err != nil {
		s.log.Error().Err(err).Msg("version does not encode")
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	s.writeBytes(w, r, http.StatusOK, mediaJSON, data)
}

// buildMetadata keeps of a version what semantic versions allow behind a plus sign.
func buildMetadata(v string) string {
	out := []byte(v)
	for i, b := range out {
		switch {
		case b >= '0' && b <= '9', b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b == '.', b == '-':
		default:
			out[i] = '-'
		}
	}
	return string(out)
}
