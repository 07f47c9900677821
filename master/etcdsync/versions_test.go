package etcdsync

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-edge/skerry/test/lab"
)

// What depends on etcd holds with the versions that Debian has not got as well.
func TestOtherVersions(t *testing.T) {
	t.Parallel()
	tests := []string{"TestReplicateAndRestore", "TestTakeOver", "TestUplinkCut", "TestQuorum", "TestTLS", "TestUsers", "TestNoSpace",
		"TestEtcdIsWiped", "TestEtcdIsRestored", "TestFollowersAreFresh", "TestLargeCommits", "TestRivals", "TestKeysInEtcd"}
	for _, version := range []string{"3.6", "3.7"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			program, err := filepath.Abs("../../.build/etcd-" + version)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(program); err != nil {
				t.Skipf("NOT TESTED: etcd %s is not there: make test builds it (build/need-etcd)", version)
			}
			cmd := exec.Command(os.Args[0], "-test.run", "^("+strings.Join(tests, "|")+")$", "-test.v")
			cmd.Env = append(os.Environ(), lab.EtcdEnv+"="+program)
			out, err := cmd.CombinedOutput()
			if passed := strings.Count(string(out), "\n--- PASS: "); err != nil || passed != len(tests) {
				t.Errorf("%d of %d tests passed, %v:\n%s", passed, len(tests), err, out)
			}
		})
	}
}
