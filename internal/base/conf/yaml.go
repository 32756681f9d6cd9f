package conf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads a YAML file of flat keys ("log.dirs: /data"), nested maps whose names are joined by points, and lists, which
// become Kafka's comma-separated ones. Errors start with the line's number.
func parseYAML(text []byte) ([]line, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, yamlError(err)
	}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%d: the file holds a second YAML document", max(second.Line, 1))
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%d: the file is not a map of keys to values", root.Line)
	}
	r := yamlReader{seen: map[string]int{}}
	err := r.mapping("", root)
	return r.lines, err
}

// yamlError puts the line number that the library hides in its text to the front.
func yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	number := 1
	if _, scan := fmt.Sscanf(text, "line %d:", &number); scan == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	return fmt.Errorf("%d: not YAML: %s", number, text)
}

type yamlReader struct {
	lines []line
	seen  map[string]int
}

func (r *yamlReader) mapping(prefix string, n *yaml.Node) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || key.Tag == "!!null" || key.Value == "" {
			return fmt.Errorf("%d: a key must be plain text", key.Line)
		}
		name := prefix + key.Value
		if val.Kind == yaml.MappingNode {
			if err := r.mapping(name+".", val); err != nil {
				return err
			}
			continue
		}
		text, err := yamlText(name, val)
		if err != nil {
			return err
		}
		if before, ok := r.seen[name]; ok {
			return fmt.Errorf("%d: %s is already set in line %d", key.Line, name, before)
		}
		r.seen[name] = key.Line
		r.lines = append(r.lines, line{number: key.Line, key: name, value: text})
	}
	return nil
}

// yamlText is the text of a scalar as it is written, so that 0100 stays 0100, or of a list joined by commas.
func yamlText(name string, n *yaml.Node) (string, error) {
	switch {
	case n.Kind == yaml.AliasNode:
		return "", fmt.Errorf("%d: aliases are not supported", n.Line)
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return "", fmt.Errorf("%d: %s has no value: leave the line out, or write \"\"", n.Line, name)
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	}
	items := make([]string, 0, len(n.Content))
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode || c.Tag == "!!null" || strings.Contains(c.Value, ",") {
			return "", fmt.Errorf("%d: an element of the list %s must be plain text without a comma", c.Line, name)
		}
		items = append(items, c.Value)
	}
	return strings.Join(items, ","), nil
}
