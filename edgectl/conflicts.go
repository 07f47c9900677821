package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"
)

// conflictsPath is where the master has what lost.
const conflictsPath = "/apis/skerry.dev/v1/conflicts"

// conflict is one as the master describes it.
type conflict struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"`
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Deleted   bool            `json:"deleted"`
	By        string          `json:"by"`
	Written   time.Time       `json:"written"`
	Master    string          `json:"master"`
	Epoch     string          `json:"epoch"`
	Reason    string          `json:"reason"`
	Found     time.Time       `json:"found"`
	Lost      json.RawMessage `json:"lost"`
	Current   json.RawMessage `json:"current"`
}

func (c conflict) object() string {
	name := c.Kind + "/" + c.Name
	if c.Namespace != "" {
		name = c.Namespace + " " + name
	}
	return printable(name)
}

// newConflictsCommand is edgectl conflicts.
func newConflictsCommand(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	c := &cobra.Command{
		Use:   "conflicts",
		Short: "See and settle what was written on a master that was cut off, and lost",
		Long: "See and settle what was written on a master while it was cut off from etcd, and lost because another master has led meanwhile and written the same " +
			"object. Nothing of it is in force; it is kept so that a person can decide. The newest 200 are kept. Only who may do everything in the cluster can do this.",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newConflictsList(flags, streams), newConflictsShow(flags, streams),
		newConflictsEnd(flags, streams, "accept ID...", "Write what lost on top of what is in force, as if you did it now", "accepted",
			func(id string) (verb, path string) { return "POST", conflictsPath + "/" + id + "/accept" }),
		newConflictsEnd(flags, streams, "discard ID...", "Forget what lost", "discarded",
			func(id string) (verb, path string) { return "DELETE", conflictsPath + "/" + id }))
	return c
}

func newConflictsList(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the writes that lost",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return fmt.Errorf("--output %q is not json", output)
			}
			data, err := ask(c.Context(), flags, "GET", conflictsPath, nil)
			if apierrors.IsNotFound(err) {
				return errNoConflicts
			}
			if err != nil {
				return err
			}
			if output == "json" {
				fmt.Fprint(streams.Out, string(data))
				return nil
			}
			var list struct{ Items []conflict }
			if err := json.Unmarshal(data, &list); err != nil {
				return errors.New("the master's answer is no list of conflicts; are it and this program of the same version?")
			}
			return printConflicts(streams.Out, list.Items, time.Now())
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "json prints the master's answer")
	return c
}

var errNoConflicts = errors.New("this cluster knows no conflicts; is its master older than this program?")

func printConflicts(out io.Writer, all []conflict, now time.Time) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "There are no conflicts.")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "ID\tOBJECT\tWRITE\tON\tEPOCH\tWRITTEN\tLOST BECAUSE")
	for _, c := range all {
		written := "?"
		if !c.Written.IsZero() {
			written = duration.HumanDuration(now.Sub(c.Written)) + " ago"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(c.ID), c.object(), printable(c.By), printable(c.Master), printable(c.Epoch), written, printable(c.Reason))
	}
	return w.Flush()
}

func newConflictsShow(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show what a write would have changed: the difference between what is in force and what lost",
		Long: "Show what a write would have changed: the difference between what is in force (-) and what lost (+), as YAML. Of Secrets it shows the names of the keys, " +
			"and that a value is another one, never a value.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := ask(c.Context(), flags, "GET", conflictsPath+"/"+args[0], nil)
			if apierrors.IsNotFound(err) {
				return noConflict(args[0])
			}
			if err != nil {
				return err
			}
			var one conflict
			if err := json.Unmarshal(data, &one); err != nil {
				return errors.New("the master's answer is no conflict; are it and this program of the same version?")
			}
			return printConflict(streams.Out, one)
		},
	}
}

func noConflict(id string) error {
	return fmt.Errorf("there is no conflict %s; edgectl conflicts list shows those that there are", id)
}

func printConflict(out io.Writer, c conflict) error {
	lost, err := toYAML(c.Lost)
	if err != nil {
		return err
	}
	current, err := toYAML(c.Current)
	if err != nil {
		return err
	}
	what := "lost: " + c.Reason
	if c.By != "" {
		what = c.By + ", " + what
	}
	fmt.Fprintf(out, "%s: on %s in epoch %s", c.object(), printable(c.Master), printable(c.Epoch))
	if !c.Written.IsZero() {
		fmt.Fprintf(out, " at %s", c.Written.UTC().Format(time.DateTime+" MST"))
	}
	fmt.Fprintf(out, ": %s\n", printable(what))
	switch {
	case c.Deleted && current == "":
		fmt.Fprintln(out, "It was deleted, and is not there.")
		return nil
	case c.Deleted:
		fmt.Fprintln(out, "It was deleted; in force is:")
	case lost == "":
		fmt.Fprintln(out, "Nothing of it can be shown.")
		return nil
	}
	_, err = fmt.Fprintf(out, "--- in force\n+++ lost\n%s", diff(current, lost))
	return err
}

// toYAML is an object as people read it; empty: there is none.
func toYAML(object json.RawMessage) (string, error) {
	if len(object) == 0 || string(object) == "null" {
		return "", nil
	}
	text, err := yaml.JSONToYAML(object)
	if err != nil {
		return "", errors.New("the master's answer holds no object; are it and this program of the same version?")
	}
	return string(text), nil
}

func newConflictsEnd(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams, use, short, done string, request func(id string) (verb, path string)) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var failed error
			for _, id := range args {
				verb, path := request(id)
				_, err := ask(c.Context(), flags, verb, path, nil)
				switch {
				case apierrors.IsNotFound(err):
					err = noConflict(id)
				case err != nil:
					err = fmt.Errorf("conflict %s: %w", id, err)
				default:
					fmt.Fprintf(streams.Out, "conflict %s %s\n", id, done)
				}
				failed = errors.Join(failed, err)
			}
			return failed
		},
	}
}
