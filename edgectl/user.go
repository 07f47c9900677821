package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// certificatesPath is where the master signs the certificates of people.
const certificatesPath = "/apis/skerry.dev/v1/usercertificates"

// newUserCommand is edgectl user.
func newUserCommand(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	c := &cobra.Command{
		Use:   "user",
		Short: "Make kubeconfigs for people",
		Long: "Make kubeconfigs for people. A person is a name and groups in a certificate that the cluster has signed; what they may do " +
			"is what roles give to the name and the groups. Nothing of a person is kept, so nothing of one can be listed or deleted: " +
			"a certificate ends with its time, and what it may do with the role bindings.",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newUserCreate(flags, streams))
	return c
}

func newUserCreate(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var groups []string
	good := lifetime(30 * 24 * time.Hour)
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a key and a certificate for a person, and print their kubeconfig",
		Long: "Make a key, let the cluster sign a certificate for it, and print a kubeconfig with both. The key is made here and leaves this " +
			"machine in the kubeconfig alone. Only who may do everything in the cluster can do this.",
		Example: `  # Alice may see everything but Secrets for 30 days
  edgectl user create alice --group skerry:viewers > alice.kubeconfig

  # Bob may do what roles give to bob and to the group shop, and begins in the namespace shop
  edgectl user create bob --group shop --namespace shop --ttl 8h > bob.kubeconfig
  edgectl create rolebinding shop --clusterrole edit --group shop -n shop`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name the person: edgectl user create NAME")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			ttl := time.Duration(good)
			if ttl < 10*time.Minute || ttl > 365*24*time.Hour {
				return fmt.Errorf("--ttl %s is not between 10m and 365d", inWords(ttl))
			}
			config, note, err := makeUser(c.Context(), flags, args[0], groups, ttl)
			if err != nil {
				return err
			}
			fmt.Fprintln(streams.ErrOut, note)
			_, err = streams.Out.Write(config)
			return err
		},
	}
	c.Flags().StringSliceVar(&groups, "group", nil, "Groups of the person, such as skerry:viewers; may be repeated")
	c.Flags().Var(&good, "ttl", "How long the certificate is good, from 10m to 365d")
	return c
}

// makeUser makes the kubeconfig of a person, and a note for whoever asked.
func makeUser(ctx context.Context, flags *genericclioptions.ConfigFlags, name string, groups []string, ttl time.Duration) (config []byte, note string, err error) {
	to, err := flags.ToRESTConfig()
	if err != nil {
		return nil, "", err
	}
	request, key, err := newRequest(name, groups)
	if err != nil {
		return nil, "", err
	}
	body, err := json.Marshal(map[string]any{"request": string(request), "ttlSeconds": int64(ttl / time.Second)})
	if err != nil {
		return nil, "", err
	}
	data, err := ask(ctx, flags, "POST", certificatesPath, body)
	if apierrors.IsNotFound(err) {
		return nil, "", errors.New("this cluster signs no certificates of people; is its master older than this program?")
	}
	if err != nil {
		return nil, "", err
	}
	var signed struct {
		Certificate string
		Expires     time.Time
		ClockUnset  bool
	}
	if err := json.Unmarshal(data, &signed); err != nil || signed.Certificate == "" {
		return nil, "", errors.New("the master's answer is no certificate; are it and this program of the same version?")
	}
	note = fmt.Sprintf("the certificate of %s is good until %s", name, signed.Expires.Local().Format(time.RFC1123))
	if signed.ClockUnset {
		note += "; the master's clock is not set, and once it is, the certificate has ended: set it, and make the kubeconfig again"
	}
	namespace := ""
	if flags.Namespace != nil {
		namespace = *flags.Namespace
	}
	config, err = userKubeconfig(to, name, namespace, []byte(signed.Certificate), key)
	return config, note, err
}

// newRequest makes a key, and a request for the certificate that goes with it; both are PEM.
func newRequest(name string, groups []string) (request, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: name, Organization: groups},
	}, private)
	if err != nil {
		return nil, nil, fmt.Errorf("ask for a certificate: %w", err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), nil
}

// userKubeconfig leads to the same cluster as ours.
func userKubeconfig(to *rest.Config, name, namespace string, certificate, key []byte) ([]byte, error) {
	authority := to.CAData
	if len(authority) == 0 && to.CAFile != "" {
		var err error
		if authority, err = os.ReadFile(to.CAFile); err != nil {
			return nil, fmt.Errorf("read the authority of the cluster: %w", err)
		}
	}
	const cluster = "skerry"
	context := name + "@" + cluster
	c := clientcmdapi.NewConfig()
	c.Clusters[cluster] = &clientcmdapi.Cluster{
		Server: to.Host, CertificateAuthorityData: authority, TLSServerName: to.ServerName, InsecureSkipTLSVerify: to.Insecure,
	}
	c.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	c.Contexts[context] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: name, Namespace: namespace}
	c.CurrentContext = context
	return clientcmd.Write(*c)
}
