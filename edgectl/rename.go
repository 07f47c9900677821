package main

import (
	"regexp"

	"github.com/spf13/cobra"
)

// kubectlWord finds kubectl where a help text means the command, not a part of a label or a file name.
var kubectlWord = regexp.MustCompile("(^|[\\s'\"`(])kubectl([\\s'\"`),]|$)")

// rename makes the help of a command and of all below it speak of edgectl.
func rename(c *cobra.Command) {
	if c.Name() == "kubectl" {
		c.Use = "edgectl"
	}
	for _, text := range []*string{&c.Short, &c.Long, &c.Example} {
		*text = kubectlWord.ReplaceAllString(*text, "${1}edgectl${2}")
	}
	for _, child := range c.Commands() {
		rename(child)
	}
}
