package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
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

// appendJSON adds the line of r without its end.
func appendJSON(dst []byte, r *kgo.Record) []byte {
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

// parseJSON reads one line of JSON as a record.
func parseJSON(line []byte) (*kgo.Record, error) {
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
		at, err := parseTime(strings.Trim(string(l.Timestamp), `"`))
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

// parseTime reads a time as RFC 3339 or as milliseconds since 1970.
func parseTime(text string) (time.Time, error) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither RFC 3339, such as 2026-01-02T03:04:05Z, nor milliseconds since 1970", text)
	}
	return at, nil
}

// textFields are what a line of text can show of a record, in the order of "all".
var textFields = []string{"topic", "partition", "offset", "timestamp", "key", "headers", "value"}

func parseFields(list string) ([]string, error) {
	if list == "all" {
		return textFields, nil
	}
	fields := strings.Split(list, ",")
	for _, f := range fields {
		if !slices.Contains(textFields, f) {
			return nil, term.Usage("--print: %q is none of %s, all", f, strings.Join(textFields, ", "))
		}
	}
	return fields, nil
}

// appendText adds the chosen fields of r, without the end of the line. Null is shown as nothing.
func appendText(dst []byte, r *kgo.Record, fields []string, separator string) []byte {
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, separator...)
		}
		switch f {
		case "topic":
			dst = append(dst, r.Topic...)
		case "partition":
			dst = strconv.AppendInt(dst, int64(r.Partition), 10)
		case "offset":
			dst = strconv.AppendInt(dst, r.Offset, 10)
		case "timestamp":
			dst = append(dst, timestamp(r)...)
		case "key":
			dst = append(dst, r.Key...)
		case "headers":
			for j, h := range r.Headers {
				if j > 0 {
					dst = append(dst, ',')
				}
				dst = append(append(append(dst, h.Key...), '='), h.Value...)
			}
		case "value":
			dst = append(dst, r.Value...)
		}
	}
	return dst
}

// unescape reads the escapes of a separator, such as \t, which a shell hands on as two characters.
func unescape(flag, text string) (string, error) {
	out, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		return "", term.Usage("%s: %q has an escape that is not known: \\t, \\n, \\\\ and \\xNN are", flag, text)
	}
	return out, nil
}
