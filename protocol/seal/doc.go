// Package seal wraps what travels: the envelope around every message, runs and the replay window, the
// cluster's keys and the join token. It is pure; randomness comes in as an io.Reader.
package seal
