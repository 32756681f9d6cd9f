package recordformat

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// textFields are what a line of text can show of a record, in the order of "all".
var textFields = []string{"topic", "partition", "offset", "timestamp", "key", "headers", "value"}

// ParseFields reads a list of them, separated by commas.
func ParseFields(list string) ([]string, error) {
	if list == "all" {
		return textFields, nil
	}
	fields := strings.Split(list, ",")
	for _, f := range fields {
		if !slices.Contains(textFields, f) {
			return nil, fmt.Errorf("%q is none of %s, all", f, strings.Join(textFields, ", "))
		}
	}
	return fields, nil
}

// AppendText adds the chosen fields of r, without the end of the line. Null is shown as nothing.
func AppendText(dst []byte, r *kgo.Record, fields []string, separator string) []byte {
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

// Unescape reads the escapes of a separator, such as \t, which a shell hands on as two characters.
func Unescape(text string) (string, error) {
	out, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		return "", fmt.Errorf("%q has an escape that is not known: \\t, \\n, \\\\ and \\xNN are", text)
	}
	return out, nil
}
