package main

import (
	"fmt"
	"slices"
	"strings"
)

// pure are the packages that take a snapshot and the time and return data. A trailing /* takes in the
// packages below.
var pure = []string{
	"protocol", "protocol/clock", "protocol/message", "protocol/seal", "protocol/stream", "protocol/pod",
	"master/apiserver/authn", "master/apiserver/authz", "master/change", "master/resource/*", "master/scheduler", "master/controller/*",
	"master/nodelink/desired", "master/nodelink/peer", "master/nodelink/permit", "master/etcdsync/merge",
	"edgeagent/pod", "edgeagent/plan", "edgeagent/masterlink/peer", "edgeagent/guard/wire",
}

// wiring may import everything of its own side; tests may import everything.
var wiring = []string{"master", "master/server", "edgeagent", "edgeagent/agent", "test/*", "build/*"}

// allowed says which packages of its own side a package may import, besides protocol/... and its children.
var allowed = []struct {
	from string
	to   []string
}{
	{"master/store", []string{"master/change"}},
	{"master/change", nil},
	{"master/*", []string{"master/store", "master/change", "master/resource/*"}},
	// engine is the vocabulary of containers, as change is that of objects; the implementations are below it.
	{"edgeagent/reconcile", []string{"edgeagent/plan", "edgeagent/pod", "edgeagent/engine", "edgeagent/network", "edgeagent/disk"}},
	{"edgeagent/plan", []string{"edgeagent/pod", "edgeagent/engine"}},
	{"edgeagent/volume", []string{"edgeagent/pod"}},
	{"edgeagent/probe", []string{"edgeagent/pod", "edgeagent/engine"}},
	{"edgeagent/guard", []string{"edgeagent/guard/wire"}}, // shared by the client and the program
	{"edgeagent/*", []string{"edgeagent/engine"}},
}

// homes names the only packages in which an outside library may appear.
var homes = map[string][]string{
	"github.com/eclipse/paho.mqtt.golang": {"protocol/bus/mqtt"},
	"go.etcd.io/bbolt":                    {"master/store/bolt", "edgeagent/disk"},
	"go.etcd.io/etcd":                     {"master/etcdsync"},
	"github.com/mochi-mqtt":               {"master/broker"},
	"github.com/containerd/":              {"edgeagent/engine/containerd"},
	"github.com/shirou/gopsutil":          {"edgeagent/machine"},
	"k8s.io/kubectl":                      {"edgectl"},
	"k8s.io/client-go":                    {"edgectl"},
}

// small are the packages of programs that have to fit into a megabyte or three. They use the standard library alone, and
// none of heavy.
var small = []string{"edgeagent/logs/writer", "edgeagent/guard/wire", "edgeagent/guard/keeper"}

// heavy are packages that bring in hundreds of kilobytes.
var heavy = []string{"fmt", "net", "net/http", "reflect", "encoding/json", "log", "log/slog", "flag"}

// standardOnly are further packages that use the standard library alone.
var standardOnly = []string{"edgeagent/guard"}

// impureLibraries may not be imported by a pure package.
var impureLibraries = []string{
	"context", "os", "net", "net/http", "math/rand", "crypto/rand", "log", "sync",
	"github.com/rs/zerolog", "github.com/prometheus/", "golang.org/x/sys",
}

// matches reports whether a package is what the pattern names.
func matches(pattern, place string) bool {
	if below, ok := strings.CutSuffix(pattern, "/*"); ok {
		return place == below || strings.HasPrefix(place, below+"/")
	}
	return place == pattern
}

func matchesAny(patterns []string, place string) bool {
	for _, p := range patterns {
		if matches(p, place) {
			return true
		}
	}
	return false
}

func isPure(place string) bool { return matchesAny(pure, strings.TrimSuffix(place, "/")) }

// checkImports returns what is wrong with the imports of the package at place.
func checkImports(place string, imports []string) []string {
	place = strings.TrimSuffix(place, "/")
	var findings []string
	for _, path := range imports {
		if why := refuse(place, path); why != "" {
			findings = append(findings, fmt.Sprintf("%s imports %s: %s", place, path, why))
		}
	}
	return findings
}

// refuse says why the package at place may not import path; it is empty when it may.
func refuse(place, path string) string {
	target, own := strings.CutPrefix(path, module)
	if !own {
		return refuseLibrary(place, path)
	}
	if matchesAny([]string{"test/*", "build/*"}, place) {
		return ""
	}
	side, targetSide := firstLevel(place), firstLevel(target)
	switch {
	case targetSide == "test":
		return "only tests may use test/"
	case targetSide == "protocol" && place == "master/store" && target != "protocol/clock":
		return "store imports only change and protocol/clock"
	case targetSide == "protocol":
		return ""
	case side != targetSide:
		return "master, edgeagent and edgectl share nothing but protocol, and protocol knows none of them"
	case matchesAny(wiring, place), strings.HasPrefix(target, place+"/"):
		return ""
	}
	for _, rule := range allowed {
		if !matches(rule.from, place) && !strings.HasPrefix(place, rule.from+"/") {
			continue
		}
		if matchesAny(rule.to, target) || strings.HasPrefix(place, target+"/") {
			return "" // what the rule names, and the packages that it lies in
		}
		return "only its own children and " + strings.Join(rule.to, ", ") + " are allowed here"
	}
	return "no rule allows it"
}

func refuseLibrary(place, path string) string {
	if matchesAny([]string{"test/*", "build/*"}, place) {
		return ""
	}
	for library, places := range homes {
		if !strings.HasPrefix(path, library) {
			continue
		}
		for _, home := range places {
			if place == home || strings.HasPrefix(place, home+"/") {
				return ""
			}
		}
		return "this library appears only in " + strings.Join(places, ", ")
	}
	if matchesAny(small, place) && slices.Contains(heavy, path) {
		return "its program has to stay small"
	}
	if first := firstLevel(path); strings.Contains(first, ".") && (matchesAny(small, place) || matchesAny(standardOnly, place)) {
		return "only the standard library is allowed here"
	}
	if isPure(place) {
		for _, library := range impureLibraries {
			if path == library || strings.HasSuffix(library, "/") && strings.HasPrefix(path, library) {
				return "the package is pure"
			}
		}
	}
	return ""
}

func firstLevel(place string) string {
	first, _, _ := strings.Cut(place, "/")
	return first
}
