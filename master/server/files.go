package server

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// Files for people, in the data directory.
const (
	kubeconfigFile = "admin.kubeconfig"
)

const (
	adminUser  = "skerry-admin"
	adminGroup = "skerry:admins" // whose members may do everything
)

// kubeconfig is as much of client-go's clientcmd/api/v1.Config as is needed.
type kubeconfig struct {
	APIVersion     string         `json:"apiVersion"`
	Kind           string         `json:"kind"`
	CurrentContext string         `json:"current-context"`
	Clusters       []namedCluster `json:"clusters"`
	Contexts       []namedContext `json:"contexts"`
	Users          []namedUser    `json:"users"`
}

type namedCluster struct {
	Name    string `json:"name"`
	Cluster struct {
		Server string `json:"server"`
		CA     string `json:"certificate-authority-data"`
	} `json:"cluster"`
}

type namedContext struct {
	Name    string `json:"name"`
	Context struct {
		Cluster string `json:"cluster"`
		User    string `json:"user"`
	} `json:"context"`
}

type namedUser struct {
	Name string `json:"name"`
	User struct {
		Certificate string `json:"client-certificate-data"`
		Key         string `json:"client-key-data"`
	} `json:"user"`
}

// writeKubeconfig keeps DIR/admin.kubeconfig usable: it is written anew when it is missing, when it leads to
// another address, or when its certificate ends soon or is of another authority.
func writeKubeconfig(dir string, id identity, server string, now time.Time) error {
	path := filepath.Join(dir, kubeconfigFile)
	if old, err := os.ReadFile(path); err == nil && usable(old, id, server, now) {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	certificate, err := id.ca.Client(rand.Reader, adminUser, []string{adminGroup}, now)
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		return fmt.Errorf("encode the administrator's key: %w", err)
	}
	name := "skerry-" + id.cluster
	c := kubeconfig{APIVersion: "v1", Kind: "Config", CurrentContext: name,
		Clusters: []namedCluster{{Name: name}}, Contexts: []namedContext{{Name: name}}, Users: []namedUser{{Name: name + "-admin"}}}
	c.Clusters[0].Cluster.Server = server
	c.Clusters[0].Cluster.CA = pemData(blockCert, id.ca.Certificate.Raw)
	c.Contexts[0].Context.Cluster, c.Contexts[0].Context.User = name, name+"-admin"
	c.Users[0].User.Certificate = pemData(blockCert, certificate.Certificate[0])
	c.Users[0].User.Key = pemData(blockKey, key)
	data, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode the administrator's kubeconfig: %w", err)
	}
	return daemon.WriteFile(path, data, 0o600)
}

func pemData(kind string, der []byte) string {
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// usable reports whether a kubeconfig still does what it should.
func usable(data []byte, id identity, server string, now time.Time) bool {
	var c kubeconfig
	if yaml.Unmarshal(data, &c) != nil || len(c.Clusters) != 1 || len(c.Users) != 1 || c.Clusters[0].Cluster.Server != server ||
		c.Clusters[0].Cluster.CA != pemData(blockCert, id.ca.Certificate.Raw) {
		return false
	}
	certificate, errC := base64.StdEncoding.DecodeString(c.Users[0].User.Certificate)
	key, errK := base64.StdEncoding.DecodeString(c.Users[0].User.Key)
	if errC != nil || errK != nil {
		return false
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil || pair.Leaf == nil || pair.Leaf.CheckSignatureFrom(id.ca.Certificate) != nil {
		return false
	}
	// A clock that was not set yet must not replace a good certificate.
	return now.Before(pair.Leaf.NotAfter.Add(-ca.ServerLifetime))
}
