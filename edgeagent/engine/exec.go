package engine

import "io"

// Exec is one more process in a container that runs: its user, directory, environment and limits are those of
// the container.
type Exec struct {
	Command []string // at least the program
	TTY     bool     // the process gets a terminal; all that it prints goes to Stdout

	// Stdin is read until its end, which closes the process's; nil: there is none. What the process leaves
	// unread may have been read. It must end soon after Exec has returned.
	Stdin io.Reader
	// Stdout and Stderr take what the process prints; nil: it is dropped.
	Stdout, Stderr io.Writer
	// Resize has the terminal's sizes, the newest counts; nil: it has none.
	Resize <-chan Size
}

// Size of a terminal, in characters.
type Size struct{ Width, Height uint16 }
