package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/skerry-edge/skerry/edgectl/fleet"
)

// maxCredential bounds a file with a certificate, a key or a password.
const maxCredential = 256 << 10

// etcdFlags say how etcd is reached, in the words of skerry-master.
type etcdFlags struct {
	urls                       []string
	caCert, cert, key          string
	user, passwordFile, output string
}

// newFleetCommand is edgectl fleet.
func newFleetCommand(streams genericiooptions.IOStreams) *cobra.Command {
	var f etcdFlags
	c := &cobra.Command{
		Use:   "fleet",
		Short: "List the sites that keep their state in one etcd, and how they are",
		Long: "List the sites (clusters) that keep their state in one etcd, and how they are. It asks etcd alone, and no site: one that is cut off is shown as it was when " +
			"it last reached etcd, and SYNCED says how long ago that was. It reads masters, nodes and pods, and nothing that is secret.",
		Example: `  edgectl fleet --etcd https://etcd.example:2379 --etcd-cacert ca.pem --etcd-cert reader.pem --etcd-key reader-key.pem`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := f.config()
			if err != nil {
				return err
			}
			sites, err := fleet.NewClient(config).Sites(c.Context())
			if err != nil {
				return err
			}
			if f.output == "json" {
				text, err := json.MarshalIndent(map[string]any{"items": append([]fleet.Site{}, sites...)}, "", "  ")
				if err != nil {
					return err
				}
				fmt.Fprintln(streams.Out, string(text))
				return nil
			}
			return printSites(streams.Out, sites, time.Now())
		},
	}
	c.Flags().StringSliceVar(&f.urls, "etcd", nil, "URLs of etcd's members: https:// or http://")
	c.Flags().StringVar(&f.caCert, "etcd-cacert", "", "Certificates of the authority that has signed etcd's, PEM (default: those that the system knows)")
	c.Flags().StringVar(&f.cert, "etcd-cert", "", "Certificate to show etcd, PEM; with --etcd-key")
	c.Flags().StringVar(&f.key, "etcd-key", "", "Key of --etcd-cert, PEM")
	c.Flags().StringVar(&f.user, "etcd-user", "", "User of etcd, if it asks for one; with --etcd-password-file")
	c.Flags().StringVar(&f.passwordFile, "etcd-password-file", "", "File with the password of --etcd-user")
	c.Flags().StringVarP(&f.output, "output", "o", "", "json prints all that is known")
	return c
}

// config checks the flags, and reads the files that they name.
func (f etcdFlags) config() (fleet.Config, error) {
	out := fleet.Config{User: f.user}
	switch {
	case f.output != "" && f.output != "json":
		return out, fmt.Errorf("--output %q is not json", f.output)
	case len(f.urls) == 0:
		return out, errors.New("--etcd is needed: the URLs that the sites' masters have")
	case (f.cert == "") != (f.key == ""):
		return out, errors.New("--etcd-cert and --etcd-key belong together; give both or none")
	case (f.user == "") != (f.passwordFile == ""):
		return out, errors.New("--etcd-user and --etcd-password-file belong together; give both or none")
	}
	for _, text := range f.urls {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
			return out, errors.New("--etcd: a URL of etcd is https://HOST:2379, or http:// without encryption")
		case u.User != nil:
			return out, fmt.Errorf("--etcd: a password on the command line can be read by every user of the machine; leave it out of the URL of %s, and use --etcd-user and --etcd-password-file", u.Host)
		}
		if u.Port() == "" {
			u.Host += ":2379"
		}
		out.Endpoints = append(out.Endpoints, u.Scheme+"://"+u.Host)
	}
	if f.passwordFile != "" {
		password, err := readCredential("etcd-password-file", f.passwordFile)
		if err != nil {
			return out, err
		}
		out.Password = strings.TrimRight(string(password), "\r\n")
	}
	out.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if f.caCert != "" {
		text, err := readCredential("etcd-cacert", f.caCert)
		if err != nil {
			return out, err
		}
		out.TLS.RootCAs = x509.NewCertPool()
		if !out.TLS.RootCAs.AppendCertsFromPEM(text) {
			return out, fmt.Errorf("--etcd-cacert %s: there is no certificate in it", f.caCert)
		}
	}
	if f.cert == "" {
		return out, nil
	}
	cert, err := readCredential("etcd-cert", f.cert)
	if err != nil {
		return out, err
	}
	key, err := readCredential("etcd-key", f.key)
	if err != nil {
		return out, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return out, fmt.Errorf("--etcd-cert %s and --etcd-key %s: %w", f.cert, f.key, err)
	}
	out.TLS.Certificates = []tls.Certificate{pair}
	return out, nil
}

func readCredential(flag, path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxCredential))
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	return text, nil
}

func printSites(out io.Writer, sites []fleet.Site, now time.Time) error {
	if len(sites) == 0 {
		_, err := fmt.Fprintln(out, "There are no sites in this etcd.")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "SITE\tLEADER\tTERM\tMASTERS\tNODES READY\tPODS RUNNING\tSYNCED")
	for _, s := range sites {
		alive := 0
		for _, m := range s.Masters {
			if m.Alive {
				alive++
			}
		}
		leader, synced := s.Leader, "never"
		if leader == "" {
			leader = "none is seen"
		}
		if !s.Synced.IsZero() {
			synced = duration.HumanDuration(max(0, now.Sub(s.Synced))) + " ago"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d/%d\t%d/%d\t%d/%d\t%s\n", printable(s.Name), printable(leader), s.Term, alive, len(s.Masters),
			s.Nodes.Good, s.Nodes.All, s.Pods.Good, s.Pods.All, synced)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range sites {
		if s.Problem != "" {
			fmt.Fprintf(out, "%s: %s\n", printable(s.Name), printable(s.Problem))
		}
	}
	return nil
}
