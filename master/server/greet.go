package server

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/coreos/go-systemd/v22/journal"
)

// greeting is what a new cluster's administrator has to be told once.
type greeting struct {
	dir, cluster string
	journal      bool   // others than root may read it, and it is kept: nothing secret is said
	token        string // the first join token; empty: there is none, or it is not new
	key          string // the recovery key; empty: there is one already, or somebody has to ask for it
}

// newGreeting says where the standard output leads; when that is not certain it counts as the journal.
func newGreeting(dir, cluster string) greeting {
	inJournal, err := journal.StdoutIsJournalStream()
	return greeting{dir: dir, cluster: cluster, journal: inJournal || err != nil}
}

// say tells a new cluster's administrator what to do next.
func (g greeting) say(w io.Writer) {
	kubeconfig := filepath.Join(g.dir, kubeconfigFile)
	if g.token != "" && g.journal {
		fmt.Fprintf(w, "The cluster %q is new. The token with which machines join it within %s is in %s, the administrator's kubeconfig is %s. "+
			"It has no recovery key yet, without which no backup can be made: edgectl recovery-key rotate makes one.\n",
			g.cluster, "24 hours", filepath.Join(g.dir, joinFile), kubeconfig)
	}
	if g.token != "" && !g.journal {
		fmt.Fprintf(w, `
The cluster %q is new. A machine with containerd joins it with

  sudo skerry-agent --join %s

Whoever has this token can join within %s, so keep it secret; it is kept in %s too. Other users of a machine
see its commands with ps: copy the token into a file there that only root can read, and use

  sudo skerry-agent --join @FILE

Later, and for as many machines and as long as you choose, edgectl token create makes another one.

The administrator's kubeconfig is %s. To use it as yourself:

  mkdir -p ~/.kube && sudo install -m 600 -o "$(id -u)" -g "$(id -g)" %s ~/.kube/config

`, g.cluster, g.token, "24 hours", filepath.Join(g.dir, joinFile), kubeconfig, kubeconfig)
	}
	if g.key != "" && !g.journal {
		fmt.Fprintf(w, `The recovery key of the cluster %q is

  %s

It opens the cluster's backups (edgectl backup), and is shown this once: it is not kept here. Keep it where neither a fire in
this room nor a thief of the backups gets it. If it is lost, edgectl recovery-key rotate makes another one, for the
backups to come.

`, g.cluster, g.key)
	}
}
