package authn

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// Audience is whom tokens are for that are shown to this API, and their issuer: Kubernetes' default for both.
const Audience = "https://kubernetes.default.svc.cluster.local"

// Bounds of tokens.
const (
	MaxToken    = 8 << 10 // bytes of text
	MinLifetime = 10 * time.Minute
	MaxLifetime = 365 * 24 * time.Hour
	skew        = 5 * time.Minute // how much the clock may have been put back
)

// Claim is what a token says.
type Claim struct {
	ID        string   // of the token
	Account   Ref      // the service account
	Namespace string   // of the account, and of the pod or Secret
	Audiences []string // for whom it is
	Pod       *Ref     // it is bound to, or nil
	Secret    *Ref
	Node      *Ref
	Issued    time.Time
	Expires   time.Time
}

// Ref names one object.
type Ref struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// payload is the token's second part, as Kubernetes has it.
type payload struct {
	Audiences  []string     `json:"aud"`
	Expires    int64        `json:"exp"`
	Issued     int64        `json:"iat"`
	Issuer     string       `json:"iss"`
	ID         string       `json:"jti"`
	Kubernetes kubernetesIO `json:"kubernetes.io"`
	NotBefore  int64        `json:"nbf"`
	Subject    string       `json:"sub"`
}

type kubernetesIO struct {
	Namespace string `json:"namespace"`
	Node      *Ref   `json:"node,omitempty"`
	Pod       *Ref   `json:"pod,omitempty"`
	Secret    *Ref   `json:"secret,omitempty"`
	Account   Ref    `json:"serviceaccount"`
}

// Sign is the token of a claim.
func (k Keys) Sign(c Claim) (string, error) {
	text, err := json.Marshal(payload{
		Audiences: c.Audiences, Expires: c.Expires.Unix(), Issued: c.Issued.Unix(), NotBefore: c.Issued.Unix(), Issuer: Audience, ID: c.ID,
		Subject:    accountUser(c.Namespace, c.Account.Name),
		Kubernetes: kubernetesIO{Namespace: c.Namespace, Node: c.Node, Pod: c.Pod, Secret: c.Secret, Account: c.Account},
	})
	if err != nil {
		return "", fmt.Errorf("encode a token: %w", err)
	}
	signed := k.keys[0].header + "." + base64.RawURLEncoding.EncodeToString(text)
	token := signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(k.keys[0].private, []byte(signed)))
	if len(token) > MaxToken {
		return "", fmt.Errorf("the token would have more than %d bytes; ask for fewer audiences", MaxToken)
	}
	return token, nil
}

// errToken is all that somebody learns whose token is not genuine.
var errToken = errors.New("it is no token of this cluster")

// open is the claim of a genuine token, whatever the time is.
func (k Keys) open(token string) (Claim, error) {
	if len(token) > MaxToken || strings.ContainsAny(token, "\r\n") { // which the decoder of base64 would skip
		return Claim{}, errToken
	}
	header, rest, _ := strings.Cut(token, ".")
	body, signature, ok := strings.Cut(rest, ".")
	key, known := k.find(header)
	if !ok || !known {
		return Claim{}, errToken
	}
	strict := base64.RawURLEncoding.Strict()
	sum, err := strict.DecodeString(signature)
	if err != nil || !ed25519.Verify(key, []byte(token[:len(header)+1+len(body)]), sum) {
		return Claim{}, errToken
	}
	text, err := strict.DecodeString(body)
	if err != nil {
		return Claim{}, errToken
	}
	var p payload
	if err := json.Unmarshal(text, &p); err != nil || p.Issuer != Audience {
		return Claim{}, errToken
	}
	kube := p.Kubernetes
	if p.Subject != accountUser(kube.Namespace, kube.Account.Name) {
		return Claim{}, errToken
	}
	return Claim{
		ID: p.ID, Account: kube.Account, Namespace: kube.Namespace, Audiences: p.Audiences, Pod: kube.Pod, Secret: kube.Secret, Node: kube.Node,
		Issued: time.Unix(p.Issued, 0), Expires: time.Unix(p.Expires, 0),
	}, nil
}

// Account is the service account that shows a token to one of the audiences, and those of the audiences that the token
// is for.
func (k Keys) Account(token string, audiences []string, view change.View, now time.Time) (User, []string, error) {
	c, err := k.open(token)
	if err != nil {
		return User{}, nil, err
	}
	both := slices.DeleteFunc(slices.Clone(audiences), func(a string) bool { return !slices.Contains(c.Audiences, a) })
	who := accountUser(c.Namespace, c.Account.Name)
	switch {
	case len(both) == 0:
		return User{}, nil, Refusal{fmt.Sprintf("the token of %s is for %q, not for %q", who, c.Audiences, audiences)}
	case !now.Before(c.Expires):
		return User{}, nil, Refusal{fmt.Sprintf("the token of %s ended at %s; ask for a new one (kubectl create token)", who, c.Expires.UTC().Format(time.RFC3339))}
	case ca.Plausible(now) && now.Add(skew).Before(c.Issued):
		return User{}, nil, Refusal{fmt.Sprintf("the token of %s was made at %s by a clock that ran ahead; ask for a new one (kubectl create token)",
			who, c.Issued.UTC().Format(time.RFC3339))}
	}
	if err := c.stands(view, now); err != nil {
		return User{}, nil, err
	}
	u := User{
		Name: who, UID: c.Account.UID,
		Groups: []string{groupAccounts, groupAccounts + ":" + c.Namespace},
		Extra:  map[string][]string{credentialID: {"JTI=" + c.ID}},
	}
	for what, ref := range map[string]*Ref{"pod": c.Pod, "node": c.Node} {
		if ref != nil {
			u.Extra["authentication.kubernetes.io/"+what+"-name"] = []string{ref.Name}
			u.Extra["authentication.kubernetes.io/"+what+"-uid"] = []string{ref.UID}
		}
	}
	return u, both, nil
}
