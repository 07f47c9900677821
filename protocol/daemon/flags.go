package daemon

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Flag is one setting. The same name is a key of the config file.
type Flag struct {
	Name    string
	Arg     string // stands for the value in the help, as "ADDR"
	Usage   string // one sentence, without the default
	Default string // parsed like a given value
	Many    bool   // a comma-separated list; repeating the flag and YAML lists and mappings add to it
	// Set takes the value, or, with Many, the values. It is called exactly once.
	Set func(values []string) error
}

// Flags are the settings of one program.
type Flags struct {
	flags []Flag
	given map[string]bool
}

// given is what somebody wrote, and where.
type setting struct {
	values []string
	origin string // "--name" or "FILE:LINE: name"
}

// Add declares a setting.
func (f *Flags) Add(flag Flag) { f.flags = append(f.flags, flag) }

// Given reports whether a flag or the config file names the setting, even if with the default.
func (f *Flags) Given(name string) bool { return f.given[name] }

// parse reads the command line, then the file that readConfig finds in --config, and sets every flag.
func (f *Flags) parse(args []string) error {
	given, err := f.parseArgs(args)
	if err != nil {
		return err
	}
	if file, ok := given["config"]; ok {
		fromFile, err := f.readConfig(file.values[0])
		if err != nil {
			return err
		}
		for name, s := range fromFile {
			if _, ok := given[name]; !ok {
				given[name] = s
			}
		}
	}
	f.given = map[string]bool{}
	for name := range maps.Keys(given) {
		f.given[name] = true
	}
	for _, flag := range f.flags {
		s, ok := given[flag.Name]
		if !ok {
			s = setting{values: flag.split(flag.Default), origin: "default of --" + flag.Name}
		}
		if err := flag.Set(s.values); err != nil {
			return fmt.Errorf("%s: %w", s.origin, err)
		}
	}
	return nil
}

func (f *Flags) parseArgs(args []string) (map[string]setting, error) {
	given := map[string]setting{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		body, dashed := strings.CutPrefix(arg, "--")
		if !dashed {
			if name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "="); strings.HasPrefix(arg, "-") && f.find(name) != nil {
				return nil, fmt.Errorf("unknown flag %s; write --%s", arg, name)
			}
			return nil, fmt.Errorf("unexpected argument %q; settings are given as --name value, see --help", arg)
		}
		name, value, inline := strings.Cut(body, "=")
		flag := f.find(name)
		if flag == nil {
			return nil, fmt.Errorf("unknown flag --%s; %s", name, f.suggest(name, "--"))
		}
		if !inline {
			if len(args) == 0 || strings.HasPrefix(args[0], "--") {
				return nil, fmt.Errorf("--%s needs a value: --%s %s", name, name, flag.Arg)
			}
			value, args = args[0], args[1:]
		}
		s, again := given[name]
		if again && !flag.Many {
			return nil, fmt.Errorf("--%s is given twice, give it once", name)
		}
		given[name] = setting{values: append(s.values, flag.split(value)...), origin: "--" + name}
	}
	return given, nil
}

// split is the values of one argument.
func (f Flag) split(value string) []string {
	if !f.Many {
		return []string{value}
	}
	var values []string
	for v := range strings.SplitSeq(value, ",") {
		if v = strings.TrimSpace(v); v != "" {
			values = append(values, v)
		}
	}
	return values
}

func (f *Flags) find(name string) *Flag {
	i := slices.IndexFunc(f.flags, func(flag Flag) bool { return flag.Name == name })
	if i < 0 {
		return nil
	}
	return &f.flags[i]
}

// suggest says which setting an unknown name probably means.
func (f *Flags) suggest(name, prefix string) string {
	best, distance := "", 3
	for _, flag := range f.flags {
		d := editDistance(name, flag.Name)
		if len(name) >= 3 && strings.HasPrefix(flag.Name, name) {
			d = 1
		}
		if d < distance {
			best, distance = flag.Name, d
		}
	}
	if best == "" {
		return "see --help for those there are"
	}
	return "did you mean " + prefix + best + "?"
}

// editDistance is the number of letters to insert, delete or replace to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// help prints the settings in the order in which they were declared.
func (f *Flags) help(w io.Writer) {
	width := 0
	for _, flag := range f.flags {
		width = max(width, len(flag.Name)+len(flag.Arg)+3)
	}
	for _, flag := range f.flags {
		head := "--" + flag.Name + " " + flag.Arg
		usage := flag.Usage
		if flag.Default != "" {
			usage += " (default " + flag.Default + ")"
		}
		for i, line := range wrap(usage, 96-width) {
			if i > 0 {
				head = ""
			}
			fmt.Fprintf(w, "  %-*s  %s\n", width, head, line)
		}
	}
}

// wrap breaks text between words into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
