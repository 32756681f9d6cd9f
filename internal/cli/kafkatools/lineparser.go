package kafkatools

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// newLineReader is the default reader with its properties.
func (c *call) newLineReader() (*lineParser, error) {
	l := c.line
	if class := l.text("line-reader"); class != lineReader {
		return nil, javaError("java.lang.ClassNotFoundException", "%s", class)
	}
	p, err := l.readPropsOf("reader-config")
	if err != nil {
		return nil, err
	}
	p.pairs(l.all(l.either("reader-property", "property")))
	r, err := newLineParser(p)
	c.tellUnasked(p)
	return r, err
}

// lineParser takes a line apart into headers, key and value.
type lineParser struct {
	parseKey, parseHeaders, ignoreError                               bool
	keySeparator, headersDelimiter, headersSeparator, headerSeparator string
	headersCut                                                        cutter
	nullMarker                                                        *string
	number                                                            int
}

func kafkaError(format string, args ...any) error {
	return javaError("org.apache.kafka.common.KafkaException", format, args...)
}

func newLineParser(p props) (*lineParser, error) {
	r := &lineParser{
		parseKey: p.isTrue("parse.key"), parseHeaders: p.isTrue("parse.headers"), ignoreError: p.isTrue("ignore.error"),
		keySeparator: p.or("key.separator", "\t"), headersDelimiter: p.or("headers.delimiter", "\t"),
		headersSeparator: p.or("headers.separator", ","), headerSeparator: p.or("headers.key.separator", ":"),
	}
	if marker, ok := p.get("null.marker"); ok {
		r.nullMarker = &marker
	}
	var err error
	if r.headersCut, err = newCutter(r.headersSeparator); err != nil {
		return nil, err
	}
	switch {
	case r.headersDelimiter == r.headersSeparator:
		return nil, kafkaError("headers.delimiter and headers.separator may not be equal")
	case r.headersDelimiter == r.headerSeparator:
		return nil, kafkaError("headers.delimiter and headers.key.separator may not be equal")
	case r.headersSeparator == r.headerSeparator:
		return nil, kafkaError("headers.separator and headers.key.separator may not be equal")
	}
	for _, other := range [][2]string{{r.keySeparator, "key.separator"}, {r.headersSeparator, "headers.separator"}, {r.headersDelimiter, "headers.delimiter"}, {r.headerSeparator, "headers.key.separator"}} {
		if r.isNull(other[0]) {
			return nil, kafkaError("null.marker and %s may not be equal", other[1])
		}
	}
	return r, nil
}

func (r *lineParser) isNull(s string) bool { return r.nullMarker != nil && s == *r.nullMarker }

func (r *lineParser) bytes(s string) []byte {
	if r.isNull(s) {
		return nil
	}
	return []byte(s)
}

func (r *lineParser) record(line string) (*kgo.Record, error) {
	r.number++
	rec := &kgo.Record{}
	rest := line
	if r.parseHeaders {
		headers, after, err := r.part(line, rest, r.headersDelimiter, "headers delimiter")
		if err != nil {
			return nil, err
		}
		rest = after
		if headers != nil && !r.isNull(*headers) {
			if rec.Headers, err = r.headers(*headers); err != nil {
				return nil, err
			}
		}
	}
	if r.parseKey {
		key, after, err := r.part(line, rest, r.keySeparator, "key separator")
		if err != nil {
			return nil, err
		}
		rest = after
		if key != nil {
			rec.Key = r.bytes(*key)
		}
	}
	rec.Value = r.bytes(rest)
	return rec, nil
}

// part is what stands before a separator, or nil where it is missing and that is no error.
func (r *lineParser) part(line, rest, separator, name string) (*string, string, error) {
	before, after, ok := strings.Cut(rest, separator)
	switch {
	case ok:
		return &before, after, nil
	case r.ignoreError:
		return nil, rest, nil
	}
	return nil, "", kafkaError("No %s found on line number %d: '%s'", name, r.number, line)
}

func (r *lineParser) headers(text string) ([]kgo.RecordHeader, error) {
	var all []kgo.RecordHeader
	for _, pair := range r.headersCut.split(text) {
		key, value, ok := strings.Cut(pair, r.headerSeparator)
		switch {
		case !ok && r.ignoreError:
			all = append(all, kgo.RecordHeader{Key: pair})
			continue
		case !ok:
			return nil, kafkaError("No header key separator found in pair '%s' on line number %d", pair, r.number)
		case r.isNull(key):
			return nil, kafkaError("Header keys should not be equal to the null marker '%s' as they can't be null", *r.nullMarker)
		}
		all = append(all, kgo.RecordHeader{Key: key, Value: r.bytes(value)})
	}
	return all, nil
}
