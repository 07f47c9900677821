package brokerconfig

import (
	"crypto/rand"
	"strings"
	"testing"
)

func sample() Config {
	return Config{
		Cluster: "default", Dir: "/etc/mosquitto/skerry", Port: 8883, Random: rand.Reader,
		Accounts: []Account{
			{"n2", Node, "the second's"}, {"n1", Node, "the first's"},
			{"@master", Master, "the master's"}, {"@join", Join, "for joining"},
		},
	}
}

// What would make a broker's configuration mean something else is refused.
func TestBadInput(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"cluster":        {func(c *Config) { c.Cluster = "a/b" }, "cluster name"},
		"relative":       {func(c *Config) { c.Dir = "skerry" }, "must be an absolute path"},
		"a line":         {func(c *Config) { c.Dir = "/a\nallow_anonymous true" }, "must be an absolute path"},
		"port":           {func(c *Config) { c.Port = 0 }, "port 0"},
		"wildcard":       {func(c *Config) { c.Accounts[0].Name = "+" }, `"+" is no name`},
		"no password":    {func(c *Config) { c.Accounts[0].Password = "" }, "n2 has no password"},
		"a node @master": {func(c *Config) { c.Accounts[0].Name = "@master" }, `"@master" is no name`},
		"a master n1":    {func(c *Config) { c.Accounts[0].Role = Master }, `"n2" is no name`},
	} {
		config := sample()
		c.change(&config)
		for kind, write := range map[string]func(Config) ([]File, error){"mosquitto": Mosquitto, "nats": NATS} {
			if _, err := write(config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
		}
	}
}

// NATS takes a dot for the end of a level: the node a.b would be the channel b of the node a.
func TestNATSHasNoDots(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"the node's name n2.local has a dot":     func(c *Config) { c.Accounts[0].Name = "n2.local" },
		"the cluster's name, my.site, has a dot": func(c *Config) { c.Cluster = "my.site" },
	} {
		config := sample()
		change(&config)
		if _, err := NATS(config); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v", err)
		}
		if _, err := Mosquitto(config); err != nil {
			t.Errorf("mosquitto: %v", err)
		}
	}
}

// The passwords themselves are in none of the files.
func TestPasswordsAreHashed(t *testing.T) {
	t.Parallel()
	for kind, write := range map[string]func(Config) ([]File, error){"mosquitto": Mosquitto, "nats": NATS} {
		files, err := write(sample())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			for _, a := range sample().Accounts {
				if strings.Contains(string(f.Data), a.Password) {
					t.Errorf("%s: %s has the password of %s", kind, f.Name, a.Name)
				}
			}
		}
	}
}
