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

// Where a master has what these commands show.
const (
	mastersPath   = "/apis/skerry.dev/v1/masters"
	conflictsPath = "/apis/skerry.dev/v1/conflicts"
)

// masterList is what a master says of all of them.
type masterList struct {
	Epoch   string `json:"epoch"`
	Etcd    string `json:"etcd"`
	Problem string `json:"problem"`
	Items   []struct {
		Name     string `json:"name"`
		Role     string `json:"role"`
		Self     bool   `json:"self"`
		Alive    bool   `json:"alive"`
		API      string `json:"api"`
		Version  string `json:"version"`
		Revision string `json:"revision"`
	} `json:"items"`
}

// newMastersCommand is edgectl masters.
func newMastersCommand(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "masters",
		Short: "Show the masters that share an etcd, who leads, and how far each has come",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			data, err := answer(c, flags, mastersPath, output)
			if err != nil || output == "json" {
				fmt.Fprint(streams.Out, string(data))
				return err
			}
			var list masterList
			if err := json.Unmarshal(data, &list); err != nil {
				return errors.New("the master's answer is no list of masters; are it and this program of the same version?")
			}
			return printMasters(streams.Out, list)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "json prints the master's answer")
	return c
}

// answer asks for a list that is printed as a table or, with output json, as it is.
func answer(c *cobra.Command, flags genericclioptions.RESTClientGetter, path, output string) ([]byte, error) {
	if output != "" && output != "json" {
		return nil, fmt.Errorf("--output %q is not json", output)
	}
	return ask(c.Context(), flags, "GET", path, nil)
}

func printMasters(out io.Writer, list masterList) error {
	fmt.Fprintf(out, "Epoch %s; etcd: %s\n", list.Epoch, printable(list.Etcd))
	if list.Problem != "" {
		fmt.Fprintf(out, "The list is not of now: %s\n", printable(list.Problem))
	}
	if len(list.Items) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tROLE\tALIVE\tREVISION\tVERSION\tAPI")
	for _, m := range list.Items {
		alive, name := "no", m.Name
		if m.Alive {
			alive = "yes"
		}
		if m.Self {
			name += " (answers)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(name), m.Role, alive, m.Revision, printable(m.Version), printable(m.API))
	}
	return w.Flush()
}

// conflict is a write that lost, as the master describes it.
type conflict struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"`
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Master    string          `json:"master"`
	Reason    string          `json:"reason"`
	Found     time.Time       `json:"found"`
	Deleted   bool            `json:"deleted"`
	Object    json.RawMessage `json:"object"`
}

// newConflictsCommand is edgectl conflicts.
func newConflictsCommand(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	c := &cobra.Command{
		Use:   "conflicts",
		Short: "Show what users wrote on a master that was cut off, and what lost against another master",
		Long: "Show what users wrote on a master that was cut off while another one led, and what lost because that one had written the same objects. " +
			"Nothing happens with it by itself: apply again what you want of it, and forget it.",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var output string
	list := &cobra.Command{
		Use: "list", Short: "List the conflicts", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			data, err := answer(c, flags, conflictsPath, output)
			if err != nil || output == "json" {
				fmt.Fprint(streams.Out, string(data))
				return err
			}
			all, err := readConflicts(data)
			if err != nil {
				return err
			}
			return printConflicts(streams.Out, all, time.Now())
		},
	}
	list.Flags().StringVarP(&output, "output", "o", "", "json prints the master's answer")
	show := &cobra.Command{
		Use: "show ID", Short: "Print what was written, as YAML for edgectl apply", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := ask(c.Context(), flags, "GET", conflictsPath, nil)
			if err != nil {
				return err
			}
			all, err := readConflicts(data)
			if err != nil {
				return err
			}
			return showConflict(streams, all, args[0])
		},
	}
	forget := &cobra.Command{
		Use: "forget ID...", Short: "Remove conflicts that are dealt with", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var failed error
			for _, id := range args {
				_, err := ask(c.Context(), flags, "DELETE", conflictsPath+"/"+id, nil)
				switch {
				case apierrors.IsNotFound(err):
					err = noConflict(id)
				case err == nil:
					fmt.Fprintf(streams.Out, "conflict %s forgotten\n", id)
				}
				failed = errors.Join(failed, err)
			}
			return failed
		},
	}
	c.AddCommand(list, show, forget)
	return c
}

func noConflict(id string) error {
	return fmt.Errorf("there is no conflict %s; edgectl conflicts list shows those that there are", id)
}

func readConflicts(data []byte) ([]conflict, error) {
	var list struct {
		Items []conflict `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, errors.New("the master's answer is no list of conflicts; are it and this program of the same version?")
	}
	return list.Items, nil
}

func printConflicts(out io.Writer, all []conflict, now time.Time) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "There are no conflicts.")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "ID\tOBJECT\tNAMESPACE\tWRITE\tON\tFOUND\tWHY IT LOST")
	for _, c := range all {
		what := "change"
		if c.Deleted {
			what = "deletion"
		}
		fmt.Fprintf(w, "%s\t%s/%s\t%s\t%s\t%s\t%s ago\t%s\n", c.ID, c.Kind, c.Name, c.Namespace, what, printable(c.Master),
			duration.HumanDuration(now.Sub(c.Found)), printable(c.Reason))
	}
	return w.Flush()
}

func showConflict(streams genericiooptions.IOStreams, all []conflict, id string) error {
	for _, c := range all {
		switch {
		case c.ID != id:
			continue
		case c.Deleted:
			return fmt.Errorf("%s/%s was deleted there; edgectl delete it if that is still wanted", c.Kind, c.Name)
		case len(c.Object) == 0:
			return fmt.Errorf("%s/%s is no object that can be shown", c.Kind, c.Name)
		}
		var object map[string]any
		err := json.Unmarshal(c.Object, &object)
		if err == nil {
			delete(object, "status")
			if meta, ok := object["metadata"].(map[string]any); ok {
				// Of the object as it was on that master; the one of now has others.
				for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"} {
					delete(meta, field)
				}
			}
		}
		text, marshalErr := yaml.Marshal(object)
		if err = errors.Join(err, marshalErr); err != nil {
			return fmt.Errorf("show %s/%s: %w", c.Kind, c.Name, err)
		}
		_, err = streams.Out.Write(text)
		return err
	}
	return noConflict(id)
}
