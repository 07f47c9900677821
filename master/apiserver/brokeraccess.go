package apiserver

import (
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Broker knows what a broker that is not the master's own must be told.
type Broker interface {
	// Access are the accounts, and a new certificate for a broker that is reached under these names and addresses.
	Access(names []string) (BrokerAccess, error)
}

// BrokerAccess is what a broker must know to serve the cluster. Passwords and key are secret.
type BrokerAccess struct {
	Cluster     string          `json:"cluster"`
	Accounts    []BrokerAccount `json:"accounts"`
	Certificate string          `json:"certificate"` // PEM, with that of the authority
	Key         string          `json:"key"`         // PEM
}

// BrokerAccount is a user of the broker.
type BrokerAccount struct {
	Name     string `json:"name"`
	Role     string `json:"role"` // master, join or node
	Password string `json:"password"`
}

// BrokerAccessRequest asks for it.
type BrokerAccessRequest struct {
	Names []string `json:"names"`
}

// brokerPath is what edgectl broker config talks to.
const brokerPath = "/apis/skerry.dev/v1/brokeraccess"

const maxBrokerNames = 20

var brokerResource = schema.GroupResource{Group: "skerry.dev", Resource: "brokeraccess"}

// serveBroker answers administrators alone.
func (s *Server) serveBroker(w http.ResponseWriter, r *http.Request, u user) error {
	if err := s.authorizeSpecial(u, verbCreate, brokerResource, ""); err != nil {
		return err
	}
	if s.Broker == nil {
		return apierrors.NewServiceUnavailable("this master knows no accounts")
	}
	if r.Method != http.MethodPost {
		return notAllowed()
	}
	ask, err := readJSON[BrokerAccessRequest](w, r, maxTokenRequest, "request for the broker's access")
	switch {
	case err != nil:
		return err
	case len(ask.Names) == 0 || len(ask.Names) > maxBrokerNames:
		return apierrors.NewBadRequest(fmt.Sprintf("names: there are %d, not 1 to %d; name the broker as nodes and masters reach it", len(ask.Names), maxBrokerNames))
	}
	access, err := s.Broker.Access(ask.Names)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	return writeJSON(w, http.StatusOK, access)
}
