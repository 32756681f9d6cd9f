package recordformat

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/term"
)

// A record as one line of JSON, printed by consume and read by produce:
//
//	{"topic":"orders","partition":0,"offset":7,"timestamp":"2026-01-02T03:04:05.678Z","key":"k","value":"v","headers":[{"key":"h","value":"x"}]}
//
// A key, value or header that is null is null; one that is not UTF-8 text stands under keyBase64 or valueBase64 instead.

// AppendJSON adds the line of r without its end.
func AppendJSON(dst []byte, r *kgo.Record) []byte {
	dst = append(dst, `{"topic":`...)
	dst = appendString(dst, r.Topic)
	dst = fmt.Appendf(dst, `,"partition":%d,"offset":%d,"timestamp":"%s",`, r.Partition, r.Offset, timestamp(r))
	dst = appendField(dst, "key", r.Key)
	dst = append(dst, ',')
	dst = appendField(dst, "value", r.Value)
	dst = append(dst, `,"headers":[`...)
	for i, h := range r.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		dst = appendField(dst, "key", []byte(h.Key))
		dst = append(dst, ',')
		dst = appendField(dst, "value", h.Value)
		dst = append(dst, '}')
	}
	return append(dst, "]}"...)
}

// WriteYAML writes r as one document of YAML with the names that its JSON has.
func WriteYAML(w io.Writer, r *kgo.Record) error {
	if _, err := io.WriteString(w, "---\n"); err != nil {
		return err
	}
	return term.WriteYAML(w, json.RawMessage(AppendJSON(nil, r)))
}

func appendField(dst []byte, name string, v []byte) []byte {
	switch {
	case v == nil:
		return append(dst, `"`+name+`":null`...)
	case !utf8.Valid(v):
		return append(dst, `"`+name+`Base64":"`+base64.StdEncoding.EncodeToString(v)+`"`...)
	}
	return appendString(append(dst, `"`+name+`":`...), string(v))
}

func appendString(dst []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// A string cannot fail to encode.
	_ = e.Encode(s)
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

func timestamp(r *kgo.Record) string {
	return r.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z")
}

// recordLine is what produce reads of such a line. Topic, partition and offset are where the record was, not where it goes.
type recordLine struct {
	Topic       json.RawMessage `json:"topic"`
	Partition   json.RawMessage `json:"partition"`
	Offset      json.RawMessage `json:"offset"`
	Timestamp   json.RawMessage `json:"timestamp"`
	Key         *string         `json:"key"`
	KeyBase64   []byte          `json:"keyBase64"`
	Value       *string         `json:"value"`
	ValueBase64 []byte          `json:"valueBase64"`
	Headers     []headerLine    `json:"headers"`
}

type headerLine struct {
	Key         *string `json:"key"`
	KeyBase64   []byte  `json:"keyBase64"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"valueBase64"`
}

// ParseJSON reads one line of JSON as a record.
func ParseJSON(line []byte) (*kgo.Record, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	var l recordLine
	if err := d.Decode(&l); err != nil {
		return nil, fmt.Errorf("not a record in JSON: %w", err)
	}
	if d.More() {
		return nil, fmt.Errorf("more than one JSON value on the line")
	}
	r := &kgo.Record{Key: either(l.Key, l.KeyBase64), Value: either(l.Value, l.ValueBase64)}
	for _, h := range l.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(either(h.Key, h.KeyBase64)), Value: either(h.Value, h.ValueBase64)})
	}
	if len(l.Timestamp) > 0 && string(l.Timestamp) != "null" {
		at, err := parseTimestamp(strings.Trim(string(l.Timestamp), `"`))
		if err != nil {
			return nil, fmt.Errorf("timestamp: %w", err)
		}
		r.Timestamp = at
	}
	return r, nil
}

func either(text *string, binary []byte) []byte {
	if text != nil {
		return []byte(*text)
	}
	return binary
}

// parseTimestamp reads a time as RFC 3339 or as milliseconds since 1970.
func parseTimestamp(text string) (time.Time, error) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither RFC 3339, such as 2026-01-02T03:04:05Z, nor milliseconds since 1970", text)
	}
	return at, nil
}
