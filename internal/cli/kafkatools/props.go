package kafkatools

import (
	"os"
	"strings"

	"github.com/magiconair/properties"
)

// props are properties as Java's tools take them: from a file, or as key=value.
type props map[string]string

func readProps(path string) (props, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &failure{class: "java.nio.file.NoSuchFileException", text: path, cause: err}
	}
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	loaded, err := loader.LoadBytes(text)
	if err != nil {
		return nil, illegal("%s: %s", path, err)
	}
	return props(loaded.Map()), nil
}

// readPropsOf reads the file that an option names, if it is there.
func (l *parsed) readPropsOf(name string) (props, error) {
	if !l.has(name) {
		return props{}, nil
	}
	return readProps(l.text(name))
}

// pairs adds key=value arguments; one without a value is empty.
func (p props) pairs(args []string) {
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		p[key] = value
	}
}

// merge takes the option into p where it was given, or where p does not have the key.
func (p props) merge(key string, l *parsed, name string) {
	if _, ok := p[key]; !ok || l.has(name) {
		p[key] = l.text(name)
	}
}

func (p props) isTrue(key string) bool { return strings.EqualFold(strings.TrimSpace(p[key]), "true") }

func (p props) or(key, fallback string) string {
	if v, ok := p[key]; ok {
		return v
	}
	return fallback
}
