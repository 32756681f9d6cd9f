package check

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/headrace/headrace/interop/go/flights"
)

// corruptions damage the expectation in one place each, the place being a row of its middle.
var corruptions = map[string]func(rows [][]byte, i int) [][]byte{
	"value changed": func(rows [][]byte, i int) [][]byte {
		rows[i] = bytes.Replace(rows[i], []byte(",2013-"), []byte(",2014-"), 1)
		return rows
	},
	"timestamp changed": func(rows [][]byte, i int) [][]byte {
		rows[i] = append([]byte("9"), rows[i]...)
		return rows
	},
	"header changed": func(rows [][]byte, i int) [][]byte {
		rows[i] = append(bytes.Clone(rows[i]), "0"...)
		return rows
	},
	"null value made empty": func(rows [][]byte, i int) [][]byte {
		nullValue := []byte("\t" + flights.Null + "\t")
		i += slices.IndexFunc(rows[i:], func(row []byte) bool {
			return bytes.Contains(row, nullValue) && string(bytes.Split(row, []byte("\t"))[2]) == flights.Null
		})
		rows[i] = bytes.Replace(rows[i], nullValue, []byte("\t\t"), 1)
		return rows
	},
	"row taken out": func(rows [][]byte, i int) [][]byte { return slices.Delete(rows, i, i+1) },
	"row doubled":   func(rows [][]byte, i int) [][]byte { return slices.Insert(rows, i, rows[i]) },
	"rows of a key swapped": func(rows [][]byte, i int) [][]byte {
		key := bytes.SplitN(rows[i], []byte("\t"), 3)[1]
		mark := []byte("\t" + string(key) + "\t")
		j := i + 1 + slices.IndexFunc(rows[i+1:], func(row []byte) bool { return bytes.Contains(row, mark) })
		rows[i], rows[j] = rows[j], rows[i]
		return rows
	},
}

// Corruptible checks that the comparison of a good content can fail: it must, for each of several damages done to the
// expectation. It returns how many those are.
func (s Seen) Corruptible(rows [][]byte) (int, error) {
	// A row with a key and a value, so that each damage finds what it damages.
	i := len(rows) / 2
	for bytes.Contains(rows[i], []byte("\t"+flights.Null+"\t")) {
		i++
	}
	for name, damage := range maps.All(corruptions) {
		if s.Content(damage(slices.Clone(rows), i)) == nil {
			return 0, fmt.Errorf("the comparison does not notice: %s", name)
		}
	}
	return len(corruptions), nil
}
