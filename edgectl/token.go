package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// tokensPath is where the master has its join tokens.
const tokensPath = "/apis/skerry.dev/v1/jointokens"

// requestTimeout is how long a command waits for the master's answer.
const requestTimeout = 30 * time.Second

// token is a join token as the master describes it.
type token struct {
	ID          string    `json:"id"`
	Created     time.Time `json:"created"`
	Expires     time.Time `json:"expires"`
	Uses        uint32    `json:"uses"`
	Used        uint32    `json:"used"`
	State       string    `json:"state"`
	Description string    `json:"description"`
	ForMaster   bool      `json:"forMaster"`
	Text        string    `json:"token"`
}

// newTokenCommand is edgectl token.
func newTokenCommand(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke the tokens that machines join with",
		Long:  "Make, list and revoke the tokens that machines join the cluster with. A token is shown once, when it is made; the master keeps a hash.",
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newTokenCreate(flags, streams), newTokenList(flags, streams), newTokenRevoke(flags, streams))
	return c
}

func newTokenCreate(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	good := lifetime(24 * time.Hour)
	var uses uint32
	var description, output string
	var forMaster bool
	c := &cobra.Command{
		Use:   "create",
		Short: "Make a join token, and print the line that joins a machine with it",
		Example: `  # For one machine, within the next day
  edgectl token create

  # For five machines within an hour; only the token
  edgectl token create --ttl 1h --uses 5 -o token

  # For another master of the cluster, within the next hour, into a file that only you can read
  (umask 077; edgectl token create --for-master -o token > token)`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if forMaster && !c.Flags().Changed("ttl") {
				good = lifetime(time.Hour)
			}
			ttl := time.Duration(good)
			switch {
			case output != "line" && output != "token" && output != "json":
				return fmt.Errorf("--output %q is none of line, token and json", output)
			case ttl < 0 || ttl > 0 && ttl < time.Second:
				return fmt.Errorf("--ttl %s is too short: at least 1s, or 0 for a token that never expires", inWords(ttl))
			}
			request := map[string]any{"ttlSeconds": int64(ttl / time.Second), "uses": uses, "description": description}
			if forMaster { // masters of before don't know the word
				request["forMaster"] = true
			}
			body, err := json.Marshal(request)
			if err != nil {
				return err
			}
			data, err := ask(c.Context(), flags, "POST", tokensPath, body)
			if err != nil {
				return err
			}
			return printToken(streams, data, output)
		},
	}
	c.Flags().Var(&good, "ttl", "How long machines may join with it, as 90m, 12h or 30d; 0 means for ever (with --for-master: 1h, at most 24h)")
	c.Flags().Uint32Var(&uses, "uses", 1, "How many machines may join with it; 0 means any number (with --for-master: at most 10)")
	c.Flags().BoolVar(&forMaster, "for-master", false, "Make a token with which another master joins (skerry-master --join-masters): who has it gets the cluster's keys, and with them everything")
	c.Flags().StringVar(&description, "description", "", "What it is for, for edgectl token list")
	c.Flags().StringVarP(&output, "output", "o", "line", "What to print: line (the command that joins), token, or json")
	return c
}

func printToken(streams genericiooptions.IOStreams, data []byte, output string) error {
	var t token
	if err := json.Unmarshal(data, &t); err != nil || t.Text == "" {
		return errors.New("the master's answer is no join token; are it and this program of the same version?")
	}
	switch output {
	case "token":
		fmt.Fprintln(streams.Out, t.Text)
	case "json":
		fmt.Fprint(streams.Out, string(data))
	default:
		if t.ForMaster {
			fmt.Fprintf(streams.ErrOut, "Whoever has this token can have the cluster's keys until it is used, or expires. Bring it to the other machine as a file that only root can read, and start there, "+
				"with the same --etcd and --cluster-name as here:\n  skerry-master --join-masters @FILE …\n")
			fmt.Fprintln(streams.Out, t.Text)
			return nil
		}
		fmt.Fprintln(streams.Out, "skerry-agent --join "+t.Text)
	}
	return nil
}

func newTokenList(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the join tokens, also those that are no longer good",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return fmt.Errorf("--output %q is not json", output)
			}
			data, err := ask(c.Context(), flags, "GET", tokensPath, nil)
			if err != nil {
				return err
			}
			if output == "json" {
				fmt.Fprint(streams.Out, string(data))
				return nil
			}
			var list struct{ Items []token }
			if err := json.Unmarshal(data, &list); err != nil {
				return errors.New("the master's answer is no list of join tokens; are it and this program of the same version?")
			}
			return printTokens(streams.Out, list.Items, time.Now())
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "json prints the master's answer")
	return c
}

func printTokens(out io.Writer, tokens []token, now time.Time) error {
	if len(tokens) == 0 {
		_, err := fmt.Fprintln(out, "There are no join tokens; edgectl token create makes one.")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "ID\tFOR\tSTATE\tUSED\tEXPIRES\tAGE\tDESCRIPTION")
	for _, t := range tokens {
		state, expires, uses, whom := t.State, "never", "any", "nodes"
		if t.ForMaster {
			whom = "masters"
		}
		if state == "" {
			state = "good"
		}
		if state == "used_up" {
			state = "used up"
		}
		if !t.Expires.IsZero() {
			if expires = "ago"; now.Before(t.Expires) {
				expires = "in " + duration.HumanDuration(t.Expires.Sub(now))
			} else {
				expires = duration.HumanDuration(now.Sub(t.Expires)) + " ago"
			}
		}
		if t.Uses != 0 {
			uses = strconv.FormatUint(uint64(t.Uses), 10)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d of %s\t%s\t%s\t%s\n", t.ID, whom, state, t.Used, uses, expires, duration.HumanDuration(now.Sub(t.Created)), printable(t.Description))
	}
	return w.Flush()
}

// printable keeps what others wrote from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '�'
		}
		return r
	}, text)
}

func newTokenRevoke(flags genericclioptions.RESTClientGetter, streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID...",
		Short: "End join tokens; nodes that have joined with them stay",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("name the tokens to revoke by the ids that edgectl token list shows")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			var failed error
			for _, id := range args {
				_, err := ask(c.Context(), flags, "DELETE", tokensPath+"/"+id, nil)
				switch {
				case apierrors.IsNotFound(err):
					err = fmt.Errorf("there is no join token %s; edgectl token list shows those that there are", id)
				case err == nil:
					fmt.Fprintf(streams.Out, "token %s revoked\n", id)
				}
				failed = errors.Join(failed, err)
			}
			return failed
		},
	}
}

// ask sends one request to the cluster that the flags name, and returns the answer.
func ask(ctx context.Context, flags genericclioptions.RESTClientGetter, verb, path string, body []byte) ([]byte, error) {
	config, err := flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	config.NegotiatedSerializer, config.Timeout = scheme.Codecs.WithoutConversion(), requestTimeout
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, err
	}
	request := client.Verb(verb).AbsPath(path).SetHeader("Accept", "application/json")
	if body != nil {
		request = request.SetHeader("Content-Type", "application/json").Body(body)
	}
	result := request.Do(ctx)
	if err := result.Error(); err != nil { // with the server's own words
		return nil, err
	}
	return result.Raw()
}
