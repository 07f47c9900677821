package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/skerry-edge/skerry/edgectl/brokerconfig"
)

// brokerPath is where the master has what a broker must know.
const brokerPath = "/apis/skerry.dev/v1/brokeraccess"

// brokerKind is a broker that a configuration can be written for.
type brokerKind struct {
	name, long, dir string
	write           func(brokerconfig.Config) ([]brokerconfig.File, error)
	next            string // what to do on the broker's machine
}

var brokerKinds = []brokerKind{
	{
		"mosquitto", "Write configuration, passwords, access rules and certificate for mosquitto 2", "/etc/mosquitto/skerry",
		brokerconfig.Mosquitto,
		`Copy %[1]s to the broker's machine, and there, as root:
  cp -r %[1]s/. %[2]s
  chown -R mosquitto: %[2]s
  mv %[2]s/skerry.conf /etc/mosquitto/conf.d/
  systemctl restart mosquitto
For a node that joins later: write the files again, and
  cp %[1]s/passwords %[1]s/acl %[2]s && chown mosquitto: %[2]s/passwords %[2]s/acl && systemctl reload mosquitto`,
	},
	{
		"nats", "Write a configuration with accounts and certificate for nats-server, 2.9 or newer", "/etc/nats-skerry",
		brokerconfig.NATS,
		`Copy %[1]s to the broker's machine, and there, as root:
  cp -r %[1]s/. %[2]s
  chown -R nats: %[2]s
  nats-server -c %[2]s/nats.conf
For a node that joins later: write the files again, and
  cp %[1]s/nats.conf %[2]s && chown nats: %[2]s/nats.conf && nats-server --signal reload`,
	},
}

// newBrokerCommand is edgectl broker.
func newBrokerCommand(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	help := func(c *cobra.Command, _ []string) error { return c.Help() }
	broker := &cobra.Command{Use: "broker", Short: "Work with an MQTT broker of your own", RunE: help}
	config := &cobra.Command{
		Use: "config", RunE: help,
		Short: "Write the configuration of a broker of your own: an account for each node, with its own topics alone",
	}
	for _, kind := range brokerKinds {
		config.AddCommand(newBrokerConfig(kind, flags, streams))
	}
	broker.AddCommand(config)
	return broker
}

func newBrokerConfig(kind brokerKind, flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	var out, dir string
	var names []string
	var port int
	c := &cobra.Command{
		Use:     kind.name + " --out DIR --names NAME[,NAME...]",
		Short:   kind.long,
		Example: "  edgectl broker config " + kind.name + " --out ./" + kind.name + " --names broker.example,192.0.2.7",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return errors.New("--out is needed: the directory to write the files into")
			}
			if len(names) == 0 {
				return errors.New("--names is needed: the names and addresses under which nodes and masters reach the broker, for its certificate")
			}
			config, err := readBroker(c.Context(), flags, names)
			if err != nil {
				return err
			}
			config.Dir, config.Port, config.Random = dir, port, rand.Reader
			files, err := kind.write(config)
			if err != nil {
				return err
			}
			if err := writeFiles(out, files); err != nil {
				return err
			}
			fmt.Fprintf(streams.Out, kind.next+"\nThen start the master with\n  --broker mqtts://%[3]s:%[4]d --broker-ca cluster\n", out, dir, names[0], port)
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "Directory to write the files into; it is made if need be")
	c.Flags().StringSliceVar(&names, "names", nil, "Names and addresses under which nodes and masters reach the broker")
	c.Flags().StringVar(&dir, "dir", kind.dir, "Directory in which the files will be on the broker's machine")
	c.Flags().IntVar(&port, "port", 8883, "Port for MQTT over TLS")
	return c
}

// readBroker asks the master for accounts and a certificate.
func readBroker(ctx context.Context, flags genericclioptions.RESTClientGetter, names []string) (brokerconfig.Config, error) {
	body, err := json.Marshal(map[string]any{"names": names})
	if err != nil {
		return brokerconfig.Config{}, err
	}
	data, err := ask(ctx, flags, "POST", brokerPath, body)
	if err != nil {
		return brokerconfig.Config{}, err
	}
	var access struct {
		Cluster, Certificate, Key string
		Accounts                  []brokerconfig.Account
	}
	if err := json.Unmarshal(data, &access); err != nil || len(access.Accounts) == 0 {
		return brokerconfig.Config{}, errors.New("the master's answer names no accounts; are it and this program of the same version?")
	}
	return brokerconfig.Config{
		Cluster: access.Cluster, Accounts: access.Accounts, Certificate: []byte(access.Certificate), Key: []byte(access.Key),
	}, nil
}

// writeFiles writes all of them, each whole or not at all.
func writeFiles(dir string, files []brokerconfig.File) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	for _, f := range files {
		mode := os.FileMode(0o644)
		if f.Secret {
			mode = 0o600
		}
		path := filepath.Join(dir, f.Name)
		if strings.ContainsRune(f.Name, filepath.Separator) {
			return fmt.Errorf("%q is no file name", f.Name)
		}
		if err := writeFile(path, f.Data, mode); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	return nil
}

// writeFile replaces a file by one of its own, whatever lies beside it: nobody else has that open.
func writeFile(path string, data []byte, mode os.FileMode) error {
	aside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(aside.Name()) // does nothing once it is renamed
	_, err = aside.Write(data)
	if err = errors.Join(err, aside.Chmod(mode), aside.Sync(), aside.Close()); err != nil {
		return err
	}
	return os.Rename(aside.Name(), path)
}
