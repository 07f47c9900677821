package seal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/skerry-edge/skerry/protocol"
)

// masterTokenPrefix says that this is a join token for masters, and of which layout.
const masterTokenPrefix = "sm1."

const maxAPIs = 16

// MasterToken is a join token for masters: where the cluster's masters are, and how to know one of them. Whoever has it
// gets the cluster's keys while it is good.
//
//	"sm1." + base64url( CBOR of the fields | first 4 bytes of the SHA-256 of that CBOR )
type MasterToken struct {
	Cluster string   `cbor:"1,keyasint"`
	APIs    []string `cbor:"2,keyasint"` // URLs of the masters' APIs, alternatives in this order
	CAHash  CAHash   `cbor:"3,keyasint"` // of the cluster's CA
	Secret  []byte   `cbor:"4,keyasint"` // SecretSize bytes
}

// ID names the token without giving the secret away.
func (t MasterToken) ID() string { return Token{Secret: t.Secret}.ID() }

// HashMasterSecret is what a master keeps of the secret. It is another hash than that of a node's token, so that neither is
// good for the other.
func HashMasterSecret(secret []byte) [32]byte {
	return sha256.Sum256(append([]byte("skerry master token secret 1\x00"), secret...))
}

// String names the token for logs, without the secret.
func (t MasterToken) String() string {
	return fmt.Sprintf("token %s for masters of cluster %s", t.ID(), t.Cluster)
}

// GoString is String: %#v gives no secret away either.
func (t MasterToken) GoString() string { return t.String() }

// Encode is the token as people copy it. It fails when a field could not be read back.
func (t MasterToken) Encode() (string, error) {
	if err := t.check(); err != nil {
		return "", fmt.Errorf("make a join token for masters: %w", err)
	}
	return writeToken(masterTokenPrefix, t)
}

// Errors of ParseMasterToken.
var (
	errMasterTokenEmpty  = errors.New("the join token is empty; edgectl token create --for-master makes one on another master")
	errMasterTokenPrefix = errors.New("this is no join token for masters: one begins with " + masterTokenPrefix + " (to read it from a file, write @FILE)")
	errMasterTokenNode   = errors.New("this token is for nodes, and no master joins with it; edgectl token create --for-master makes one for a master")
)

// ParseMasterToken reads what Encode wrote. White space does no harm.
func ParseMasterToken(text string) (t MasterToken, err error) {
	encoded, err := tokenText(text)
	switch {
	case err != nil:
		return MasterToken{}, err
	case encoded == "":
		return MasterToken{}, errMasterTokenEmpty
	case strings.HasPrefix(encoded, tokenPrefix):
		return MasterToken{}, errMasterTokenNode
	case !strings.HasPrefix(encoded, masterTokenPrefix):
		return MasterToken{}, errMasterTokenPrefix
	}
	if err := readToken(encoded[len(masterTokenPrefix):], &t); err != nil {
		return MasterToken{}, err
	}
	if err := t.check(); err != nil {
		return MasterToken{}, fmt.Errorf("the join token is malformed: %w", err)
	}
	return t, nil
}

func (t MasterToken) check() error {
	if err := protocol.CheckLevel(t.Cluster); err != nil {
		return fmt.Errorf("cluster name: %w", err)
	}
	if len(t.APIs) == 0 || len(t.APIs) > maxAPIs {
		return fmt.Errorf("it names %d masters, not 1 to %d", len(t.APIs), maxAPIs)
	}
	for _, api := range t.APIs {
		if u, err := url.Parse(api); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(api) > maxBrokerURL {
			return errors.New("a master's URL is not https://HOST:PORT")
		}
	}
	if t.CAHash.IsZero() {
		return errors.New("it does not say how to know a master")
	}
	if len(t.Secret) != SecretSize {
		return fmt.Errorf("its secret has %d bytes, not %d", len(t.Secret), SecretSize)
	}
	return nil
}
