package kafkatools

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

const formatters = "org.apache.kafka.tools.consumer."

// formatter prints records.
type formatter interface {
	write(w *bufio.Writer, r *kgo.Record) error
}

// newFormatter is the one that the options name.
func (c *call) newFormatter() (formatter, error) {
	l := c.line
	if l.count("property", "formatter-property") == 2 {
		return nil, usage("Options --property and --formatter-property cannot be specified together.")
	}
	p, err := l.readPropsOf("formatter-config")
	if err != nil {
		return nil, usage("%s", asFailure(err).text)
	}
	for _, which := range []string{"key", "value"} {
		if class := l.text(which + "-deserializer"); class != "" {
			p.values[which+".deserializer"] = class
		}
	}
	class := l.text("formatter")
	if l.has("property") && knownFormatter(class) {
		c.printf("Option --property is deprecated and will be removed in a future version. Use --formatter-property instead.\n")
	}
	p.pairs(l.all(l.either("formatter-property", "property")))
	// Names of classes of before 4.0, which are still in use.
	if old, ok := strings.CutPrefix(class, "kafka.tools."); ok {
		class = formatters + old
	}
	switch class {
	case formatters + "DefaultMessageFormatter", formatters + "LoggingMessageFormatter":
		// The log of the second is at a level that the tools do not print.
		f := c.newDefaultFormatter(p)
		c.tellUnasked(p)
		return f, nil
	case formatters + "NoOpMessageFormatter":
		return silent{}, nil
	case formatters + "OffsetsMessageFormatter":
		return offsetsFormatter{}, nil
	case formatters + "GroupMetadataMessageFormatter":
		return groupMetadataFormatter{}, nil
	}
	return nil, usage("%s", class)
}

func knownFormatter(class string) bool { return strings.HasPrefix(class, formatters) }

// silent prints nothing.
type silent struct{}

func (silent) write(*bufio.Writer, *kgo.Record) error { return nil }

type defaultFormatter struct {
	timestamp, key, value, partition, offset, delivery, epoch, headers bool
	keySeparator, lineSeparator, headersSeparator, null                string
	keyOf, valueOf, headerOf                                           deserializer
}

func (c *call) newDefaultFormatter(p props) *defaultFormatter {
	return &defaultFormatter{
		timestamp: p.isTrue("print.timestamp"), key: p.isTrue("print.key"), partition: p.isTrue("print.partition"), offset: p.isTrue("print.offset"),
		delivery: p.isTrue("print.delivery"), epoch: p.isTrue("print.epoch"), headers: p.isTrue("print.headers"),
		value:        strings.EqualFold(strings.TrimSpace(p.or("print.value", "true")), "true"),
		keySeparator: p.or("key.separator", "\t"), lineSeparator: p.or("line.separator", "\n"), headersSeparator: p.or("headers.separator", ","), null: p.or("null.literal", "null"),
		keyOf: c.deserializer(p, "key.deserializer"), valueOf: c.deserializer(p, "value.deserializer"), headerOf: c.deserializer(p, "headers.deserializer"),
	}
}

func (f *defaultFormatter) write(w *bufio.Writer, r *kgo.Record) error {
	// Each part is followed by a separator: of columns while there are more, else of lines.
	parts := []struct {
		shown bool
		write func() error
	}{
		{f.timestamp, func() error { return text(w, timestampType(r), ":", strconv.FormatInt(r.Timestamp.UnixMilli(), 10)) }},
		{f.partition, func() error { return text(w, "Partition:", strconv.Itoa(int(r.Partition))) }},
		{f.offset, func() error { return text(w, "Offset:", strconv.FormatInt(r.Offset, 10)) }},
		// The tool does not hand these two on to its formatter.
		{f.delivery, func() error { return text(w, "Delivery:NOT_PRESENT") }},
		{f.epoch, func() error { return text(w, "Epoch:NOT_PRESENT") }},
		{f.headers, func() error { return f.writeHeaders(w, r) }},
		{f.key, func() error { return f.keyOf.write(w, r.Key, f.null) }},
		{f.value, func() error { return f.valueOf.write(w, r.Value, f.null) }},
	}
	last := -1
	for i, p := range parts {
		if p.shown {
			last = i
		}
	}
	for i, p := range parts {
		if !p.shown {
			continue
		}
		if err := p.write(); err != nil {
			return err
		}
		separator := f.keySeparator
		if i == last {
			separator = f.lineSeparator
		}
		if err := text(w, separator); err != nil {
			return err
		}
	}
	return nil
}

func text(w *bufio.Writer, parts ...string) error {
	for _, p := range parts {
		if _, err := w.WriteString(p); err != nil {
			return err
		}
	}
	return nil
}

func timestampType(r *kgo.Record) string {
	if r.Attrs.TimestampType() == 1 {
		return "LogAppendTime"
	}
	return "CreateTime"
}

func (f *defaultFormatter) writeHeaders(w *bufio.Writer, r *kgo.Record) error {
	if len(r.Headers) == 0 {
		return text(w, "NO_HEADERS")
	}
	for i, h := range r.Headers {
		if i > 0 {
			if err := text(w, f.headersSeparator); err != nil {
				return err
			}
		}
		if err := text(w, h.Key, ":"); err != nil {
			return err
		}
		if err := f.headerOf.write(w, h.Value, f.null); err != nil {
			return err
		}
	}
	return nil
}

// deserializer makes text of bytes; nil takes them as they are.
type deserializer func(b []byte) (string, error)

func (d deserializer) write(w *bufio.Writer, b []byte, null string) error {
	if b == nil {
		b = []byte(null)
	}
	if d == nil {
		_, err := w.Write(b)
		return err
	}
	s, err := d(b)
	if err != nil {
		return err
	}
	return text(w, s)
}

const serialization = "org.apache.kafka.common.serialization."

// deserializer is the class that a property names. One that is not there is told, and the bytes are printed as they are, as
// Kafka's tool does.
func (c *call) deserializer(p props, key string) deserializer {
	class, ok := p.get(key)
	if !ok {
		return nil
	}
	name := strings.TrimSuffix(strings.TrimPrefix(class, serialization), "Deserializer")
	sized := func(size int, show func([]byte) string) deserializer {
		return func(b []byte) (string, error) {
			if len(b) != size {
				return "", javaError(apiErrors+"SerializationException", "Size of data received by %sDeserializer is not %d", name, size)
			}
			return show(b), nil
		}
	}
	switch name {
	case "String":
		return func(b []byte) (string, error) { return strings.ToValidUTF8(string(b), "\uFFFD"), nil }
	case "ByteArray":
		return nil
	case "Bytes", "ByteBuffer":
		return func(b []byte) (string, error) { return escaped(b), nil }
	case "Short":
		return sized(2, func(b []byte) string { return strconv.Itoa(int(int16(binary.BigEndian.Uint16(b)))) })
	case "Integer":
		return sized(4, func(b []byte) string { return strconv.Itoa(int(int32(binary.BigEndian.Uint32(b)))) })
	case "Long":
		return sized(8, func(b []byte) string { return strconv.FormatInt(int64(binary.BigEndian.Uint64(b)), 10) })
	case "Double":
		return sized(8, func(b []byte) string { return javaDouble(math.Float64frombits(binary.BigEndian.Uint64(b))) })
	case "UUID":
		return func(b []byte) (string, error) { return string(b), nil }
	case "Void":
		return func([]byte) (string, error) { return "null", nil }
	}
	c.log("ERROR", formatters+"DefaultMessageFormatter", "Unable to instantiate a deserializer from %s", class)
	return nil
}

// escaped is bytes with those that are not printable ASCII as \xNN.
func escaped(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		if c >= ' ' && c <= '~' && c != '\\' {
			s.WriteByte(c)
		} else {
			fmt.Fprintf(&s, `\x%s`, strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return s.String()
}
