package stream

// Conn is one end of an open stream, as its user sees it. Read and Write may be called from two goroutines at
// once, Close from any.
type Conn interface {
	// Read blocks for the next piece of data, in order, and returns io.EOF once the other end has finished as
	// it should. Any other error means that what was read is not all there was; *Error has the other end's
	// words. Empty data says that the other end sends no more on this channel. The caller owns data; what it has not consumed yet counts against the window, so it
	// should be done with one piece before it asks for the next.
	Read() (channel byte, data []byte, err error)
	// Write sends data and blocks while the other end gives no credit.
	Write(channel byte, data []byte) error
	// CloseWrite tells the other end that no more comes on a channel; the rest of the stream goes on.
	CloseWrite(channel byte) error
	// Done is closed once the stream is over, from whichever end, even if not all of it has been read.
	Done() <-chan struct{}
	// Close ends the stream, in both directions, and wakes Read and Write. The zero End means that all was
	// sent. Closing again does nothing.
	Close(End)
}
