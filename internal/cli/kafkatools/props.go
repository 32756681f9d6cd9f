package kafkatools

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/magiconair/properties"
)

// props are properties as Java's tools take them: from a file, or as key=value. It knows which of them somebody asked for, so that
// the others can be told instead of being dropped without a word.
type props struct {
	values map[string]string
	asked  map[string]bool
}

func newProps() props { return props{values: map[string]string{}, asked: map[string]bool{}} }

func readProps(path string) (props, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return props{}, &failure{class: "java.nio.file.NoSuchFileException", text: path, cause: err}
	}
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	loaded, err := loader.LoadBytes(text)
	if err != nil {
		return props{}, illegal("%s: %s", path, err)
	}
	p := newProps()
	p.values = loaded.Map()
	return p, nil
}

// readPropsOf reads the file that an option names, if it is there.
func (l *parsed) readPropsOf(name string) (props, error) {
	if !l.has(name) {
		return newProps(), nil
	}
	return readProps(l.text(name))
}

// pairs adds key=value arguments; one without a value is empty.
func (p props) pairs(args []string) {
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		p.values[key] = value
	}
}

// merge takes options into p, by the keys of the properties that they stand for, where they are given.
func (p props) merge(l *parsed, names map[string]string) {
	for name, key := range names {
		if l.has(name) {
			p.values[key] = l.text(name)
		}
	}
}

func (p props) get(key string) (value string, ok bool) {
	p.asked[key] = true
	value, ok = p.values[key]
	return value, ok
}

func (p props) or(key, fallback string) string {
	if v, ok := p.get(key); ok {
		return v
	}
	return fallback
}

func (p props) isTrue(key string) bool {
	return strings.EqualFold(strings.TrimSpace(p.or(key, "")), "true")
}

// overruled are properties that Kafka's own tools overrule by what they are told elsewhere.
var overruled = []string{"bootstrap.servers", "key.serializer", "value.serializer", "key.deserializer", "value.deserializer"}

// tellUnasked warns of properties that nothing asked for.
func (c *call) tellUnasked(p props) {
	idle := slices.DeleteFunc(slices.Sorted(maps.Keys(p.values)), func(key string) bool { return p.asked[key] || slices.Contains(overruled, key) })
	if len(idle) > 0 {
		c.log("WARN", "org.apache.kafka.common.config.AbstractConfig", "These configurations have no effect in this tool: %s", strings.Join(idle, ", "))
	}
}
