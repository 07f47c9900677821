package bolt

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/skerry-edge/skerry/master/change"
)

// Who restores a backup writes a higher epoch into the file: the next start goes on from there.
func TestAnEpochWrittenByHandCounts(t *testing.T) {
	held := change.Epoch{Start: 9}
	for text, want := range map[string]change.Epoch{
		"0.9\n": {Start: 10},
		"1.0\n": {Term: 1, Start: 1},
		"1.0":   {Term: 1, Start: 1}, // as an editor may leave it
		"0.3\n": {Start: 10},         // not higher
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, epochFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if epoch, err := nextEpoch(dir, held, false); err != nil || epoch != want {
			t.Errorf("%q: the next epoch is %s, %v; want %s", text, epoch, err, want)
		}
	}
}
