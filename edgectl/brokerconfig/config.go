package brokerconfig

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/skerry-edge/skerry/protocol"
)

// Role says what an account may do.
type Role string

// Roles.
const (
	Master Role = "master" // publishes and reads everything of the cluster
	Join   Role = "join"   // joins and does nothing else
	Node   Role = "node"   // publishes and reads its own topics, and reads who leads
)

// Account is one user of the broker.
type Account struct {
	Name     string `json:"name"`
	Role     Role   `json:"role"`
	Password string `json:"password"`
}

// Config is what a broker's configuration is made of.
type Config struct {
	Cluster  string
	Accounts []Account
	// Dir is where the files will be on the broker's machine: an absolute path.
	Dir string
	// Port is where the broker shall listen for TLS.
	Port int
	// Certificate and Key are the broker's, as PEM, the authority's certificate included.
	Certificate, Key []byte
	// Random is read for salts.
	Random io.Reader
}

// File is one of the files to write.
type File struct {
	Name   string
	Data   []byte
	Secret bool // readable by the broker alone
}

// Names of the files.
const (
	certificateFile = "server.crt"
	keyFile         = "server.key"
)

func (c Config) check() error {
	if err := protocol.CheckLevel(c.Cluster); err != nil {
		return fmt.Errorf("cluster name: %w", err)
	}
	if !path.IsAbs(c.Dir) || strings.ContainsAny(c.Dir, " \"'\\\n#") {
		return fmt.Errorf("the directory on the broker's machine, %q, must be an absolute path without spaces and quotes", c.Dir)
	}
	if c.Port < 1 || c.Port > 65535 {
		return fmt.Errorf("the port %d is not between 1 and 65535", c.Port)
	}
	for _, a := range c.Accounts {
		if a.Password == "" {
			return fmt.Errorf("account %s has no password", a.Name)
		}
		if name, special := strings.CutPrefix(a.Name, "@"); special != (a.Role != Node) || protocol.CheckLevel(name) != nil {
			return fmt.Errorf("%q is no name for an account of the role %s", a.Name, a.Role)
		}
	}
	return nil
}

// sorted are the accounts by name, so that equal accounts make equal files but for the salts.
func (c Config) sorted() []Account {
	out := slices.Clone(c.Accounts)
	slices.SortFunc(out, func(a, b Account) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (c Config) certificates() []File {
	return []File{
		{Name: certificateFile, Data: c.Certificate},
		{Name: keyFile, Data: c.Key, Secret: true},
	}
}

// written and read are the channels of a node.
var (
	written = []string{protocol.Hello, protocol.Beat, protocol.Presence, protocol.Status, protocol.Response}
	read    = []string{protocol.Request, protocol.Desired}
)
