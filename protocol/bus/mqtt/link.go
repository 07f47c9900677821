package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/skerry-edge/skerry/protocol/bus"
)

// maxInflight is how many messages may wait for the broker's acknowledgement; below mosquitto's default of 20.
const maxInflight = 16

// leaveTimeout is how long a DISCONNECT may take to be sent.
const leaveTimeout = 500 * time.Millisecond

// link is one connection, from CONNECT to its end.
type link struct {
	client paho.Client
	conn   io.Closer
	lost   chan error // one slot
	failed sync.Once
}

// fail ends the connection for the first reason that is given.
func (l *link) fail(err error) {
	l.failed.Do(func() {
		l.lost <- err
		l.conn.Close()
	})
}

// connect dials, says CONNECT and waits for the answer. number grows as soon as the broker may have a will.
func (b *Bus) connect(ctx context.Context, broker Broker, number *uint64) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	dial := b.config.Dial
	if dial == nil {
		dial = func(ctx context.Context) (net.Conn, error) { return broker.dial(ctx, b.config.PinnedCA) }
	}
	raw, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	conn := newGuardedConn(raw, func() { b.oversized.add(1) })
	l := &link{conn: conn, lost: make(chan error, 1)}
	*number++
	user, password := b.account(broker)
	options := paho.NewClientOptions().
		AddBroker("tcp://broker"). // never dialled: the connection exists
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return conn, nil }).
		SetProtocolVersion(4).
		SetClientID(b.config.ClientID).SetUsername(user).SetPassword(password).
		SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).SetOrderMatters(true).
		SetConnectTimeout(connectTimeout).SetKeepAlive(b.config.KeepAlive).SetPingTimeout(stallTimeout).
		SetConnectionLostHandler(func(_ paho.Client, err error) { l.fail(err) }).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
			if len(m.Payload()) > 0 { // an empty one is a deleted retained message, or what the guard left of a huge one
				b.deliver(bus.Message{Topic: m.Topic(), Payload: m.Payload(), Retained: m.Retained()})
			}
		})
	if b.config.Will != nil {
		if topic, payload := b.config.Will(*number); topic != "" {
			options.SetBinaryWill(topic, payload, 1, true)
		}
	}
	l.client = paho.NewClient(options)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	token := l.client.Connect()
	if !token.WaitTimeout(connectTimeout + time.Second) {
		conn.Close()
		return nil, errNoAnswer
	}
	if err := token.Error(); err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = errNoAnswer
		}
		return nil, err
	}
	return l, nil
}

// pending is something that the broker has to acknowledge.
type pending struct {
	token    paho.Token
	deadline time.Time
	filter   string // of a subscription
}

// serve sends until the connection or ctx ends.
func (l *link) serve(ctx context.Context, b *Bus) error {
	stop := make(chan struct{})
	defer close(stop)
	// The sender is not waited for: paho's Publish may sit there for half a minute after the connection has
	// gone. It touches nothing of the next connection.
	go l.send(b, stop)
	select {
	case <-ctx.Done():
		if b.config.TakeLeave {
			l.client.Disconnect(uint(leaveTimeout.Milliseconds()))
		}
		l.fail(ctx.Err())
		return ctx.Err()
	case next := <-b.reconnect:
		l.client.Disconnect(uint(leaveTimeout.Milliseconds()))
		err := errSameBroker
		if next {
			err = errNextBroker
		}
		l.fail(err)
		return err
	case err := <-l.lost:
		return err
	}
}

func (l *link) send(b *Bus, stop <-chan struct{}) {
	var waiting []pending
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		for len(waiting) > 0 && isDone(waiting[0].token) {
			if err := waiting[0].result(); err != nil {
				l.fail(err)
				return
			}
			waiting = waiting[1:]
		}
		if len(waiting) < maxInflight {
			next, ok, ended := l.next(b, stop)
			if ended {
				return
			}
			if ok {
				if p := l.start(b, next); p.token != nil {
					waiting = append(waiting, p)
				}
				continue
			}
		}
		var acknowledged <-chan struct{}
		timer.Reset(time.Hour)
		if len(waiting) > 0 {
			acknowledged = waiting[0].token.Done()
			timer.Reset(time.Until(waiting[0].deadline))
		}
		more := b.queue.wake
		if len(waiting) >= maxInflight {
			more = nil
		}
		select {
		case <-stop:
			return
		case <-more:
		case <-acknowledged:
		case <-timer.C:
			if len(waiting) > 0 && !isDone(waiting[0].token) && !time.Now().Before(waiting[0].deadline) {
				l.fail(errNoAcknowledgement)
				return
			}
		}
	}
}

// next takes what is to be sent, unless the connection has ended: then the queue is another one's.
func (l *link) next(b *Bus, stop <-chan struct{}) (next item, ok, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-stop:
		return item{}, false, true
	default:
	}
	next, ok = b.queue.pop()
	return next, ok, false
}

// start hands an item to paho. There is one filter in a SUBSCRIBE: the guard lets no other SUBACK in.
func (l *link) start(b *Bus, i item) pending {
	deadline := time.Now().Add(stallTimeout)
	if i.subscribe {
		return pending{token: l.client.Subscribe(i.topic, i.qos, nil), deadline: deadline, filter: i.topic}
	}
	b.sent.add(1)
	token := l.client.Publish(i.topic, i.qos, i.retain, i.payload)
	if i.qos == 0 {
		return pending{} // done, or lost with the connection
	}
	return pending{token: token, deadline: deadline}
}

func (p pending) result() error {
	if err := p.token.Error(); err != nil {
		return err
	}
	if t, ok := p.token.(*paho.SubscribeToken); ok && t.Result()[p.filter] > 1 {
		return fmt.Errorf("it refuses the subscription to %s: its access rules must let this user read that topic", p.filter)
	}
	return nil
}

func isDone(token paho.Token) bool {
	select {
	case <-token.Done():
		return true
	default:
		return false
	}
}

var (
	errNoAnswer          = errors.New("it does not answer")
	errNoAcknowledgement = errors.New("it does not acknowledge messages")
	errSameBroker        = errors.New("another connection is made")
	errNextBroker        = errors.New("no master answers there; the next broker is tried")
)
