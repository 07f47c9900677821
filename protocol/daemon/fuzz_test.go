package daemon

import (
	"strings"
	"testing"
)

// Whatever a config file says, it is understood or refused in one line that names the file.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("name: pi\nlabels: {a: b}\n"))
	f.Add([]byte("# nothing\n---\n"))
	f.Add([]byte("name: &a [*a]\n"))
	f.Add([]byte("name: !!binary x\n? [a]\n: b\n"))
	f.Add([]byte("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"))
	command := testCommand(&settings{}, nil)
	f.Fuzz(func(t *testing.T, text []byte) {
		flags, _, _ := command.define()
		if _, err := flags.parseConfig("the-file", text); err != nil {
			if said := err.Error(); !strings.HasPrefix(said, "the-file:") || strings.Contains(said, "\n") {
				t.Errorf("%q is refused with %q", text, said)
			}
		}
	})
}
