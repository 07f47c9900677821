package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/skerry-edge/skerry/master/etcdsync"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

// EtcdConfig is what a user decides about etcd.
type EtcdConfig struct {
	URLs                []string
	CACert, Cert, Key   string // files
	User, PasswordFile  string
	CutOff              string // etcdsync.CutOff
	plain, encryptedURL bool   // schemes among the URLs
}

// maxEtcdURLs and maxCredential bound what is read.
const (
	maxEtcdURLs   = 16
	maxCredential = 256 << 10
)

func (c *EtcdConfig) used() bool { return len(c.URLs) > 0 }

func (c *EtcdConfig) define(f *daemon.Flags) {
	f.Add(daemon.Flag{Name: "etcd", Arg: "URL", Many: true,
		Usage: "keep the state in this etcd too, and let several masters share it: https:// or http://, each member of etcd",
		Set:   c.setURLs})
	f.String(&c.CACert, nil, daemon.Flag{Name: "etcd-cacert", Arg: "FILE",
		Usage: "certificates of the authority that has signed etcd's, PEM (default: the authorities that the system knows)"})
	f.String(&c.Cert, nil, daemon.Flag{Name: "etcd-cert", Arg: "FILE", Usage: "certificate that this master shows etcd, PEM; with --etcd-key"})
	f.String(&c.Key, nil, daemon.Flag{Name: "etcd-key", Arg: "FILE", Usage: "key of --etcd-cert, PEM"})
	f.String(&c.User, nil, daemon.Flag{Name: "etcd-user", Arg: "NAME", Usage: "user of etcd, if it asks for one; with --etcd-password-file"})
	f.String(&c.PasswordFile, nil, daemon.Flag{Name: "etcd-password-file", Arg: "FILE", Usage: "file with the password of --etcd-user"})
	f.String(&c.CutOff, checkCutOff, daemon.Flag{Name: "when-cut-off", Arg: "lead|yield",
		Usage: "what a leader of this cluster does that can't reach etcd: go on, or stop before another can lead; it holds from the next term that this master leads in (default: what the cluster has, lead in a new one)"})
}

func checkCutOff(text string) error {
	if text != "" && text != string(etcdsync.CutOffLead) && text != string(etcdsync.CutOffYield) {
		return fmt.Errorf("%q is neither %s nor %s", text, etcdsync.CutOffLead, etcdsync.CutOffYield)
	}
	return nil
}

func (c *EtcdConfig) setURLs(values []string) error {
	if len(values) > maxEtcdURLs {
		return fmt.Errorf("%d are too many; give at most %d", len(values), maxEtcdURLs)
	}
	for _, text := range values {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Host == "":
			return fmt.Errorf("%q is no URL of etcd; write https://HOST:2379", withoutPassword(text))
		case u.User != nil:
			return fmt.Errorf("a password on the command line can be read by every user of the machine; leave it out of the URL of %s, and use --etcd-user and --etcd-password-file", u.Host)
		case u.Scheme != "https" && u.Scheme != "http":
			return fmt.Errorf("%q: the scheme %s is not known; write https:// or http://", text, u.Scheme)
		case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			return fmt.Errorf("%q: nothing may follow the port", text)
		}
		c.encryptedURL = c.encryptedURL || u.Scheme == "https"
		c.plain = c.plain || u.Scheme == "http"
		if u.Port() == "" {
			u.Host += ":2379"
		}
		c.URLs = append(c.URLs, u.Scheme+"://"+u.Host)
	}
	return nil
}

// withoutPassword keeps what may be one out of an error.
func withoutPassword(text string) string {
	if _, after, ok := strings.Cut(text, "@"); ok {
		return "…@" + after
	}
	return text
}

func (c *EtcdConfig) check() error {
	if !c.used() {
		for _, s := range []struct{ name, value string }{
			{"etcd-cacert", c.CACert}, {"etcd-cert", c.Cert}, {"etcd-key", c.Key}, {"etcd-user", c.User}, {"etcd-password-file", c.PasswordFile},
			{"when-cut-off", c.CutOff},
		} {
			if s.value != "" {
				return fmt.Errorf("--%s is about --etcd, which is not given; leave it out", s.name)
			}
		}
		return nil
	}
	switch {
	case c.plain && c.encryptedURL:
		return fmt.Errorf("--etcd names members with http:// and with https://; all must be the same")
	case c.plain && (c.CACert != "" || c.Cert != "" || c.Key != ""):
		return fmt.Errorf("--etcd-cacert, --etcd-cert and --etcd-key are for https://, and --etcd says http://")
	case (c.Cert == "") != (c.Key == ""):
		return fmt.Errorf("--etcd-cert and --etcd-key belong together; give both or none")
	case (c.User == "") != (c.PasswordFile == ""):
		return fmt.Errorf("--etcd-user and --etcd-password-file belong together; give both or none")
	}
	return nil
}

// server reads the files that are named.
func (c *EtcdConfig) server() (etcdsync.Server, error) {
	out := etcdsync.Server{Endpoints: c.URLs, User: c.User}
	if c.PasswordFile != "" {
		password, err := readCredential("etcd-password-file", c.PasswordFile)
		if err != nil {
			return out, err
		}
		if out.Password = strings.TrimRight(string(password), "\r\n"); out.Password == "" {
			return out, daemon.Usage(fmt.Errorf("--etcd-password-file %s: it is empty", c.PasswordFile))
		}
	}
	if !c.encryptedURL {
		return out, nil
	}
	out.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CACert != "" {
		text, err := readCredential("etcd-cacert", c.CACert)
		if err != nil {
			return out, err
		}
		out.TLS.RootCAs = x509.NewCertPool()
		if !out.TLS.RootCAs.AppendCertsFromPEM(text) {
			return out, daemon.Usage(fmt.Errorf("--etcd-cacert %s: there is no certificate in it", c.CACert))
		}
	}
	if c.Cert != "" {
		cert, err := readCredential("etcd-cert", c.Cert)
		if err != nil {
			return out, err
		}
		key, err := readCredential("etcd-key", c.Key)
		if err != nil {
			return out, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return out, daemon.Usage(fmt.Errorf("--etcd-cert %s and --etcd-key %s: %w", c.Cert, c.Key, err))
		}
		out.TLS.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

func readCredential(flag, path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, daemon.Usage(fmt.Errorf("--%s: %w", flag, err))
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxCredential))
	if err != nil {
		return nil, daemon.Usage(fmt.Errorf("--%s: %w", flag, err))
	}
	return text, nil
}
