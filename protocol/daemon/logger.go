package daemon

import (
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// timeFormat is RFC 3339 with milliseconds; zerolog's own format is a package variable.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// NewLogger logs JSON lines to w, or coloured text when w is a terminal.
func NewLogger(w io.Writer) zerolog.Logger {
	if file, ok := w.(*os.File); ok && isTerminal(file) {
		w = zerolog.ConsoleWriter{Out: file, TimeFormat: time.TimeOnly}
	}
	stamp := zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
		e.Str(zerolog.TimestampFieldName, time.Now().UTC().Format(timeFormat))
	})
	return zerolog.New(w).Level(zerolog.InfoLevel).Hook(stamp)
}

func isTerminal(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
