package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/skerry-edge/skerry/protocol/recovery"
)

// recoveryKeyPath is where the master has the public half of the recovery key.
const recoveryKeyPath = "/apis/skerry.dev/v1/recoverykey"

const keepKey = "keep it where neither a fire in the master's room nor a thief of the backups gets it"

// newRecoveryKeyCommand is edgectl recovery-key.
func newRecoveryKeyCommand(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	c := &cobra.Command{
		Use:   "recovery-key",
		Short: "Work with the key that opens the cluster's backups",
		Long: "Work with the key that opens the cluster's backups. It is made where this command runs, and shown once; the master gets its public half, " +
			"for which it seals, and never the key.",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newRecoveryKeyRotate(flags, streams), newRecoveryKeyGenerate(streams), newRecoveryKeyShow(flags, streams))
	return c
}

func newRecoveryKeyRotate(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate",
		Short: "Give the cluster a new recovery key, and print it",
		Long: "Give the cluster a new recovery key, and print it: because it has none yet, because it is lost, or because others may know it. Backups that " +
			"were made before open with the key of before. Only who may do everything in the cluster can do this.",
		Example: `  # The key alone goes to the standard output
  (umask 077; edgectl recovery-key rotate > key.txt)`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			key, err := recovery.NewKey(rand.Reader)
			if err != nil {
				return err
			}
			if err := setRecipient(c.Context(), flags, key.Recipient()); err != nil {
				return err
			}
			fmt.Fprintln(streams.Out, key.Text())
			fmt.Fprintf(streams.ErrOut, "This is the cluster's recovery key from now on, with the id %s; %s. Make a backup now: those of before open with the key of before.\n",
				key.Recipient().ID(), keepKey)
			return nil
		},
	}
}

// setRecipient gives the master the public half of a key.
func setRecipient(ctx context.Context, flags genericclioptions.RESTClientGetter, to recovery.Recipient) error {
	body, err := json.Marshal(map[string]string{"id": to.ID(), "recipient": to.String()})
	if err != nil {
		return err
	}
	data, err := ask(ctx, flags, "PUT", recoveryKeyPath, body)
	if apierrors.IsNotFound(err) {
		return errNoRecoveryKeys
	}
	if err != nil {
		return fmt.Errorf("%w; the cluster may have a new recovery key that nobody knows: run this again until it succeeds", err)
	}
	if now, err := parseRecoveryKey(data); err != nil || now.ID != to.ID() {
		return errors.New("the master's answer names another recovery key; has somebody else changed it? Run this again")
	}
	return nil
}

var errNoRecoveryKeys = errors.New("this cluster has no recovery keys; is its master older than this program?")

// recoveryKey is what the master says of it.
type recoveryKey struct {
	ID        string `json:"id"`
	Recipient string `json:"recipient"`
}

func parseRecoveryKey(data []byte) (k recoveryKey, err error) {
	if err := json.Unmarshal(data, &k); err != nil {
		return recoveryKey{}, errors.New("the master's answer is no recovery key; are it and this program of the same version?")
	}
	return k, nil
}

func newRecoveryKeyGenerate(streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use:   "generate",
		Short: "Make a recovery key for a cluster that is to come, and print it",
		Long:  "Make a recovery key for a cluster that is to come, and print it. No cluster is asked.",
		Example: `  (umask 077; edgectl recovery-key generate > key.txt)
  sudo skerry-master --recovery-key key.txt`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			key, err := recovery.NewKey(rand.Reader)
			if err != nil {
				return err
			}
			fmt.Fprintln(streams.Out, key.Text())
			fmt.Fprintf(streams.ErrOut, "The recovery key %s; %s.\n", key.Recipient().ID(), keepKey)
			return nil
		},
	}
}

func newRecoveryKeyShow(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "show",
		Short: "Print the id of the cluster's recovery key, or say whether a file has that key",
		Example: `  # Is what is kept in the safe still the right one?
  edgectl recovery-key show --file key.txt`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var held string
			if file != "" {
				key, err := recovery.ReadKey(file)
				if err != nil {
					return fmt.Errorf("--file: %w", err)
				}
				held = key.Recipient().ID()
			}
			data, err := ask(c.Context(), flags, "GET", recoveryKeyPath, nil)
			if apierrors.IsNotFound(err) {
				return errNoRecoveryKeys
			}
			if err != nil {
				return err
			}
			now, err := parseRecoveryKey(data)
			switch {
			case err != nil:
				return err
			case now.ID == "":
				return errors.New("the cluster has no recovery key; edgectl recovery-key rotate makes one")
			case held != "" && held != now.ID:
				return fmt.Errorf("%s has the recovery key %s; the cluster's is %s", file, held, printable(now.ID))
			}
			fmt.Fprintln(streams.Out, printable(now.ID))
			return nil
		},
	}
	c.Flags().StringVar(&file, "file", "", "File that should have the key: it is an error if it has another one")
	return c
}
