package main

import (
	"testing"

	"github.com/skerry-edge/skerry/protocol/daemon/daemontest"
)

// The config file that is installed has every setting, with its default, and no other.
func TestConfigFileIsCurrent(t *testing.T) {
	daemontest.CheckConfigFile(t, command(), "../systemd/master.yaml")
}
