package mqtt

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Broker is where one broker is reached.
type Broker struct{ url url.URL }

// schemes are the transports and their usual ports.
var schemes = map[string]string{"mqtts": "8883", "wss": "443", "tcp": "1883", "ws": "80"}

// ParseBroker reads mqtts://, wss://, tcp:// or ws:// with a host, and if need be a port, a user and password,
// and for the last two of each pair a path (default /mqtt).
func ParseBroker(text string) (Broker, error) {
	fail := func(why string) (Broker, error) {
		return Broker{}, fmt.Errorf("%q is no broker URL: %s; write mqtts://HOST:PORT, wss://, or without encryption tcp:// or ws://", hidePassword(text), why)
	}
	u, err := url.Parse(text)
	if err != nil {
		var urlErr *url.Error
		if errors.As(err, &urlErr) {
			err = urlErr.Err
		}
		return fail(err.Error())
	}
	port, known := schemes[u.Scheme]
	switch web := strings.HasPrefix(u.Scheme, "ws"); {
	case u.Scheme == "" || u.Opaque != "" || u.Host == "":
		return fail("it has no scheme")
	case !known:
		return fail("the scheme " + u.Scheme + " is not known")
	case u.Hostname() == "":
		return fail("it has no host")
	case u.RawQuery != "" || u.Fragment != "":
		return fail("it has a query or fragment")
	case !web && u.Path != "" && u.Path != "/":
		return fail("only ws and wss have a path")
	case web && u.Path == "":
		u.Path = "/mqtt"
	case !web:
		u.Path = ""
	}
	if u.Port() != "" {
		port = u.Port()
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fail("the port " + port + " is not between 1 and 65535")
		}
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	return Broker{url: *u}, nil
}

// hidePassword is for error messages about a URL that can't be parsed, or has a password.
func hidePassword(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		return scheme + "://…@" + rest[i+1:]
	}
	return text
}

// ParseBrokers reads several URLs that are alternatives.
func ParseBrokers(texts []string) ([]Broker, error) {
	var brokers []Broker
	for _, text := range texts {
		b, err := ParseBroker(text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(brokers, func(o Broker) bool { return o.String() == b.String() }) {
			return nil, fmt.Errorf("the broker %s is given twice, give it once", b)
		}
		brokers = append(brokers, b)
	}
	return brokers, nil
}

// inProcess is how a broker without a URL, reached by Config.Dial, is called.
const inProcess = "in this process"

// String is the URL without user and password, as it stands in logs and join tokens.
func (b Broker) String() string {
	if b.url.Host == "" {
		return inProcess
	}
	u := b.url
	u.User = nil
	return u.String()
}

// Encrypted reports whether the transport is TLS.
func (b Broker) Encrypted() bool { return b.url.Scheme == "mqtts" || b.url.Scheme == "wss" }

// credentials are the URL's own user and password, or else the given ones.
func (b Broker) credentials(user, password string) (string, string) {
	if b.url.User == nil {
		return user, password
	}
	password, _ = b.url.User.Password()
	return b.url.User.Username(), password
}
