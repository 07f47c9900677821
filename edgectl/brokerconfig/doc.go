// Package brokerconfig writes the configuration of a broker that is not the master's own: accounts for the masters,
// for joining and for each node, and the rules that give a node its own topics and nobody else's.
//
//	accounts ─► Mosquitto | NATS ─► files for one directory on the broker's machine
//
// It is pure: randomness, for salts, comes in as an io.Reader. The broker is not trusted with more than it needs: it
// gets hashes of passwords that open nothing but itself. What the rules can't say (who may retain, how many
// connections) is a loss of tidiness only, for all that travels is sealed.
package brokerconfig
