package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// maxConfig bounds the config file in bytes.
const maxConfig = 1 << 20

// readConfig reads a YAML mapping of settings. Errors begin with FILE:LINE.
func (f *Flags) readConfig(path string) (map[string]setting, error) {
	data, err := readAtMost(path, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("--config %s: %w", path, err)
	}
	return f.parseConfig(path, data)
}

func (f *Flags) parseConfig(path string, data []byte) (map[string]setting, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, yamlError(path, err)
	}
	settings := map[string]setting{}
	if len(doc.Content) == 0 { // nothing, or only comments
		return settings, nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return settings, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: the file must consist of lines \"name: value\"", path, root.Line)
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		at := fmt.Sprintf("%s:%d", path, key.Line)
		flag := f.find(key.Value)
		if flag == nil {
			return nil, fmt.Errorf("%s: unknown key %q; %s", at, key.Value, f.suggest(key.Value, ""))
		}
		if flag.Name == "config" {
			return nil, fmt.Errorf("%s: a config file can't name another one", at)
		}
		if _, twice := settings[flag.Name]; twice {
			return nil, fmt.Errorf("%s: %q is given twice, give it once", at, flag.Name)
		}
		values, err := flag.fromYAML(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %s %w", at, flag.Name, err)
		}
		settings[flag.Name] = setting{values: values, origin: at + ": " + flag.Name}
	}
	return settings, nil
}

// fromYAML is the values of a YAML node.
func (f Flag) fromYAML(node *yaml.Node) ([]string, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return nil, errors.New(`has no value; write "" for an empty one`)
	case node.Kind == yaml.ScalarNode:
		return f.split(node.Value), nil
	case f.Many && node.Kind == yaml.SequenceNode:
		var values []string
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, errors.New("must be a list of plain values")
			}
			values = append(values, item.Value)
		}
		return values, nil
	case f.Many && node.Kind == yaml.MappingNode:
		var values []string
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Kind != yaml.ScalarNode || node.Content[i+1].Kind != yaml.ScalarNode {
				return nil, errors.New("must be a mapping of plain values")
			}
			values = append(values, node.Content[i].Value+"="+node.Content[i+1].Value)
		}
		return values, nil
	case f.Many:
		return nil, errors.New("must be a list")
	}
	return nil, errors.New("must be one value")
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// yamlError puts the line of a YAML error where an editor looks for it.
func yamlError(path string, err error) error {
	text := err.Error()
	at := path
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		if m[1] != "" {
			at += ":" + m[1]
		}
	}
	return fmt.Errorf("%s: not YAML: %s", at, text)
}

// readAtMost reads a file that a user named.
func readAtMost(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, plainPathError(err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("the file is larger than %d bytes", limit)
	}
	return data, nil
}

// plainPathError drops what "open /path: …" repeats.
func plainPathError(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
