// Command edgectl is kubectl for a Skerry cluster: the whole kubectl command tree, which finds the cluster of
// the machine's own master by itself.
package main

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args)) // as kubectl does, so that -v counts from the start
	if err := cli.RunNoErrOutput(newCommand()); err != nil {
		util.CheckErr(err)
	}
}

// own are the commands that kubectl does not have. It would look for plugins of these names before they are added.
var own = []string{"token", "broker", "user", "backup", "restore", "recovery-key", "masters", "conflicts", "fleet", "fence"}

// mayBePlugin reports whether arguments can call a plugin: its name comes first.
func mayBePlugin(args []string) bool {
	return len(args) > 1 && !strings.HasPrefix(args[1], "-") && !slices.Contains(own, args[1])
}

// noCluster is the address that kubectl falls back to when nothing says where the cluster is.
const noCluster = "http://localhost:8080"

func newCommand() *cobra.Command {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	var found choice
	flags := genericclioptions.NewConfigFlags(true).
		WithDeprecatedPasswordFlag().WithDiscoveryBurst(300).WithDiscoveryQPS(50).WithWarningPrinter(streams).
		WithWrapConfigFn(func(c *rest.Config) *rest.Config {
			if found.problem != "" && c.Host == noCluster {
				c.Wrap(func(http.RoundTripper) http.RoundTripper { return nowhere{found.problem} })
			}
			return c
		})
	var plugins cmd.PluginHandler
	if mayBePlugin(os.Args) {
		plugins = cmd.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes)
	}
	root := cmd.NewDefaultKubectlCommandWithArgs(cmd.KubectlOptions{
		PluginHandler: plugins,
		Arguments:     os.Args,
		ConfigFlags:   flags,
		IOStreams:     streams,
	})
	dataDir := root.PersistentFlags().String("data-dir", defaultDataDir(os.Getenv),
		"Data directory of this machine's master; its admin.kubeconfig is used when no other kubeconfig is set")
	root.AddCommand(newTokenCommand(flags, streams), newBrokerCommand(flags, streams), newUserCommand(flags, streams), newFenceCommand(flags, streams),
		newBackupCommand(flags, streams), newRestoreCommand(dataDir, streams), newRecoveryKeyCommand(flags, streams),
		newMastersCommand(flags, streams), newConflictsCommand(flags, streams), newFleetCommand(streams))
	rename(root)

	before := root.PersistentPreRunE
	root.PersistentPreRunE = func(c *cobra.Command, args []string) error {
		explicit := flags.KubeConfig != nil && *flags.KubeConfig != ""
		home, _ := os.UserHomeDir() // without a home there is no kubeconfig in it
		found = choose(explicit, os.Getenv("KUBECONFIG"), home, *dataDir, readable)
		if found.path != "" {
			if err := os.Setenv("KUBECONFIG", found.path); err != nil {
				return fmt.Errorf("set KUBECONFIG: %w", err)
			}
		}
		if client := c.Flags().Lookup("client"); found.problem != "" && c.Name() == "version" && client != nil {
			if err := client.Value.Set("true"); err != nil { // there is no server to ask
				return err
			}
		}
		return before(c, args)
	}
	return root
}

// nowhere stands where the connection to a cluster would be. Ending here, at the first request, leaves every
// command that needs no cluster alone and spares the user the repeated failures of the rest.
type nowhere struct{ problem string }

func (n nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	fmt.Fprintln(os.Stderr, "error: "+n.problem)
	os.Exit(1)
	return nil, nil
}
