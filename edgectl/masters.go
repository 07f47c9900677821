package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// mastersPath is where a master says who there is.
const mastersPath = "/apis/skerry.dev/v1/masters"

// masterList is what a master says of all of them.
type masterList struct {
	Epoch   string `json:"epoch"`
	Etcd    string `json:"etcd"`
	CutOff  string `json:"cutOff"`
	Problem string `json:"problem"`
	Items   []struct {
		Name     string `json:"name"`
		ID       string `json:"id"`
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
				return errNoMasters
			}
			return printMasters(streams.Out, list)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "json prints the master's answer")
	c.AddCommand(newMastersForget(flags, streams))
	return c
}

func newMastersForget(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	var off bool
	c := &cobra.Command{
		Use:   "forget NAME",
		Short: "Take a master off the list that is gone for good",
		Long: "Take a master off the list that is gone for good: nodes are told its broker no longer, and pods that must run at most once no longer wait for " +
			"what it may have permitted while it was cut off. So make sure that it is off.",
		Example: `  # The second gateway has burnt
  edgectl masters forget rack-2 --it-is-off`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name := args[0]
			if !off {
				return fmt.Errorf("make sure that the master %s is off, without power or destroyed: pods that it alone might permit will run elsewhere; then say so with --it-is-off", name)
			}
			data, err := ask(c.Context(), flags, "GET", mastersPath, nil)
			if err != nil {
				return err
			}
			var list masterList
			if err := json.Unmarshal(data, &list); err != nil {
				return errNoMasters
			}
			id, err := list.find(name)
			if err != nil {
				return err
			}
			if _, err := ask(c.Context(), flags, "DELETE", mastersPath+"/"+id, nil); err != nil {
				return err
			}
			_, err = fmt.Fprintf(streams.Out, "master %s forgotten\n", printable(name))
			return err
		},
	}
	c.Flags().BoolVar(&off, "it-is-off", false, "You have made sure that the master is off")
	return c
}

var errNoMasters = errors.New("the master's answer is no list of masters; are it and this program of the same version?")

// find is the id of the one master of a name, or of that id.
func (list masterList) find(name string) (id string, err error) {
	var ids []string
	for _, m := range list.Items {
		if m.ID == name {
			return m.ID, nil
		}
		if m.Name == name {
			ids = append(ids, m.ID)
		}
	}
	switch len(ids) {
	case 0:
		return "", fmt.Errorf("there is no master %s; edgectl masters lists them", name)
	case 1:
		return ids[0], nil
	}
	return "", fmt.Errorf("%d masters are called %s; name one by its id, of %s (edgectl masters -o json says which is which)", len(ids), name, strings.Join(ids, ", "))
}

// answer asks for a list that is printed as a table or, with output json, as it is.
func answer(c *cobra.Command, flags genericclioptions.RESTClientGetter, path, output string) ([]byte, error) {
	if output != "" && output != "json" {
		return nil, fmt.Errorf("--output %q is not json", output)
	}
	return ask(c.Context(), flags, "GET", path, nil)
}

func printMasters(out io.Writer, list masterList) error {
	fmt.Fprintf(out, "Epoch %s; etcd: %s", list.Epoch, printable(list.Etcd))
	if list.CutOff != "" {
		fmt.Fprintf(out, "; when cut off: %s", printable(list.CutOff))
	}
	fmt.Fprintln(out)
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
