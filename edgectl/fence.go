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
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// slotsPath is where the master has who may run what only one node may.
const slotsPath = "/apis/skerry.dev/v1/slots"

// slot is one as the master describes it.
type slot struct {
	Namespace    string `json:"namespace"`
	Slot         string `json:"slot"`
	Pod          string `json:"pod"`
	Node         string `json:"node"`
	LastsSeconds int64  `json:"lastsSeconds"`
	Bound        bool   `json:"bound"`
}

// newFenceCommand is edgectl fence.
func newFenceCommand(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	var list, off bool
	c := &cobra.Command{
		Use:   "fence NODE",
		Short: "Say that a node is off for good, so that what it alone might run may run elsewhere",
		Long: `Say that a node is off for good, so that what it alone might run may run elsewhere.

Pods with skerry.dev/partition-policy: stop run at most once anywhere. The master waits by itself until a silent node's
permit has ended; but a pod that is bound to one node, and whatever a master that is cut off may still permit, only a
person can end. Fencing a node that still runs lets such pods run twice: make sure first that it is off.`,
		Example: `  # Who may run what
  edgectl fence --list

  # The board has burnt
  edgectl fence pi-3 --it-is-off`,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case list && len(args) < 2:
				node := ""
				if len(args) == 1 {
					node = args[0]
				}
				return listSlots(c, flags, streams.Out, node)
			case len(args) != 1:
				return errors.New("name the one node to fence, as edgectl get nodes shows it; edgectl fence --list shows what each may run")
			case !off:
				return fmt.Errorf("make sure that %s is off, without power or destroyed: what it alone might run will run elsewhere; then say so with --it-is-off", args[0])
			}
			data, err := ask(c.Context(), flags, "DELETE", slotsPath+"/"+args[0], nil)
			if apierrors.IsNotFound(err) {
				return fmt.Errorf("there is no node %s, and nothing that it might run alone", args[0])
			}
			if err != nil {
				return err
			}
			freed, err := readSlots(data)
			if err != nil {
				return err
			}
			if len(freed) == 0 {
				fmt.Fprintf(streams.Out, "node %s holds nothing that others wait for\n", args[0])
				return nil
			}
			fmt.Fprintf(streams.Out, "node %s fenced; these may run elsewhere now:\n", args[0])
			return printSlots(streams.Out, freed)
		},
	}
	c.Flags().BoolVar(&list, "list", false, "List who may run what only one node may, of all nodes or of one")
	c.Flags().BoolVar(&off, "it-is-off", false, "You have made sure that the node is off")
	return c
}

func listSlots(c *cobra.Command, flags genericclioptions.RESTClientGetter, out io.Writer, node string) error {
	path := slotsPath
	if node != "" {
		path += "/" + node
	}
	data, err := ask(c.Context(), flags, "GET", path, nil)
	if err != nil {
		return err
	}
	slots, err := readSlots(data)
	if err != nil {
		return err
	}
	if len(slots) == 0 {
		_, err := fmt.Fprintln(out, "No pod runs that must run at most once.")
		return err
	}
	return printSlots(out, slots)
}

func readSlots(data []byte) ([]slot, error) {
	var list struct{ Items []slot }
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, errors.New("the master's answer is no list of slots; are it and this program of the same version?")
	}
	return list.Items, nil
}

func printSlots(out io.Writer, slots []slot) error {
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "NAMESPACE\tSLOT\tPOD\tNODE\tENDS BY ITSELF")
	for _, s := range slots {
		ends := "never: the pod is bound to the node"
		if !s.Bound {
			// As the master counts: 1.12 times the permit, and 2 s.
			ends = fmt.Sprintf("%s after its last permit", wholeSeconds(time.Duration(s.LastsSeconds)*1120*time.Millisecond+2*time.Second))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Namespace, s.Slot, s.Pod, s.Node, ends)
	}
	return w.Flush()
}

// wholeSeconds rounds up: nobody is told too little.
func wholeSeconds(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }
