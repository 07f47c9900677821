package broker

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// access decides who may connect and what they may publish and read.
type access struct {
	mochi.HookBase
	cluster        string
	topics         protocol.Topics
	accounts       Accounts
	master         [sha256.Size]byte // hash of the password
	masters        bool              // there is an account for them
	server         *mochi.Server
	log            zerolog.Logger
	refused        atomic.Uint64
	mu             sync.Mutex
	lastRefusal    time.Time
	refusedBetween int
}

func newAccess(config Config, server *mochi.Server) *access {
	return &access{
		cluster:  config.Cluster,
		topics:   config.Topics,
		accounts: config.Accounts,
		master:   sha256.Sum256([]byte(config.MasterPassword)),
		masters:  config.MasterPassword != "",
		server:   server,
		log:      config.Log,
	}
}

// ID implements mochi.Hook.
func (a *access) ID() string { return "access" }

// Provides implements mochi.Hook.
func (a *access) Provides(event byte) bool {
	return slices.Contains([]byte{mochi.OnConnect, mochi.OnConnectAuthenticate, mochi.OnSessionEstablished,
		mochi.OnACLCheck, mochi.OnPublish, mochi.OnSubscribed}, event)
}

var errShape = errors.New("the CONNECT packet is not one of a node or master")

// OnConnect refuses what none of our clients sends.
func (a *access) OnConnect(cl *mochi.Client, pk packets.Packet) error {
	keepAlive := time.Duration(pk.Connect.Keepalive) * time.Second
	if pk.ProtocolVersion != 4 || !pk.Connect.Clean || keepAlive == 0 || keepAlive > maxKeepAlive {
		a.refuse(cl, "it is no MQTT 3.1.1 client with a clean session and a keep-alive of at most 20 minutes")
		return errShape
	}
	return nil
}

// OnConnectAuthenticate checks account, client id and will. mochi itself publishes any will anywhere.
func (a *access) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	user, password := string(pk.Connect.Username), sha256.Sum256(pk.Connect.Password)
	var known, itsID bool
	switch {
	case user == MasterUser:
		known = a.masters && subtle.ConstantTimeCompare(password[:], a.master[:]) == 1
		itsID = strings.HasPrefix(cl.ID, mqtt.MasterClientID(a.cluster, ""))
	case user == seal.JoinUser:
		known = a.accounts.Join(password)
		_, itsID = mqtt.ParseJoinClientID(a.cluster, cl.ID)
	case protocol.CheckLevel(user) != nil:
		a.refuse(cl, "its user name is no node name")
		return false
	default:
		for _, right := range a.accounts.Node(user) {
			known = known || subtle.ConstantTimeCompare(password[:], right[:]) == 1
		}
		itsID = cl.ID == mqtt.NodeClientID(a.cluster, user)
	}
	switch {
	case !known:
		a.refuse(cl, "wrong password")
	case !itsID:
		a.refuse(cl, "its client id is not that of its user")
	case pk.Connect.WillFlag && !a.may(user, cl.ID, pk.Connect.WillTopic, true):
		a.refuse(cl, "its will is for a topic that it may not publish to")
	default:
		return true
	}
	return false
}

// OnSessionEstablished lifts the limits for strangers.
func (a *access) OnSessionEstablished(cl *mochi.Client, _ packets.Packet) {
	if c, ok := cl.Net.Conn.(*conn); ok {
		c.welcome()
	}
}

// OnACLCheck implements the access rules; topic is a filter when somebody subscribes.
func (a *access) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	return a.may(string(cl.Properties.Username), cl.ID, topic, write)
}

// What a node publishes, and what is left of that when it was removed from the cluster.
var (
	written        = []string{protocol.Hello, protocol.Beat, protocol.Presence, protocol.Status, protocol.Response}
	writtenRemoved = []string{protocol.Hello, protocol.Presence, protocol.Beat} // a heartbeat has it told once more
)

func (a *access) may(user, clientID, topic string, write bool) bool {
	switch user {
	case MasterUser:
		return true
	case seal.JoinUser:
		id, _ := mqtt.ParseJoinClientID(a.cluster, clientID)
		return write && topic == a.topics.Join(id, protocol.JoinAsk) || !write && topic == a.topics.Join(id, protocol.JoinAnswer)
	}
	channels := written
	if a.accounts.Removed(user) {
		channels = writtenRemoved // it reads what it read before: that it was removed, and that it shall run nothing
	}
	if write {
		node, channel, ok := a.topics.Parse(topic)
		return ok && node == user && slices.Contains(channels, channel)
	}
	return topic == a.topics.Leader() || strings.HasPrefix(topic, a.topics.Node(user, ""))
}

// OnPublish keeps nodes from filling the broker with retained messages: only their presence is.
func (a *access) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if !cl.Net.Inline && string(cl.Properties.Username) != MasterUser && !strings.HasSuffix(pk.TopicName, "/"+protocol.Presence) {
		pk.FixedHeader.Retain = false
	}
	return pk, nil
}

// OnSubscribed repairs what a takeover may break: when a client connects again while its old connection is
// being torn down, mochi may delete the new one from its index, which then gets no messages.
func (a *access) OnSubscribed(cl *mochi.Client, _ packets.Packet, _ []byte) {
	if _, ok := a.server.Clients.Get(cl.ID); !ok && !cl.Closed() {
		a.server.Clients.Add(cl)
	}
}

// refuse counts and logs a refusal, the latter at most every ten seconds.
func (a *access) refuse(cl *mochi.Client, why string) {
	a.refused.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refusedBetween++
	if time.Since(a.lastRefusal) < 10*time.Second {
		return
	}
	user := string(cl.Properties.Username)
	a.log.Warn().Str("user", user[:min(len(user), 64)]).Str("remote", cl.Net.Remote).Str("reason", why).
		Int("refused", a.refusedBetween).Msg("a client was refused")
	a.lastRefusal, a.refusedBetween = time.Now(), 0
}
