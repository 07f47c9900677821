// Package mqtt is the real bus: a client of an MQTT 3.1.1 broker, on paho.
//
//	Publish ─► bounded queue ─► one sender a connection ─► paho ─► broker
//	broker ─► size guard ─► paho ─► Inbox.Put ─► wake
//
// A connection that ends is never repaired: the next one is a new paho client with a new will, subscribes again
// and begins with an empty queue, because everything that travels can be said again. Brokers are tried in turn,
// with full-jitter back-off after each round. paho's own reconnecting, session and file store stay off, nothing
// publishes or blocks inside its callbacks, and it is never asked to wait without a limit. Nothing that a broker
// sends is allocated before its size is known to be small enough.
package mqtt
