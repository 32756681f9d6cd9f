package metrics

import (
	"os"
	"strconv"
	"strings"
)

// diskBytes tells what this process had the disks read and write, where the system says so: Linux, to who may know.
func diskBytes() (read, written float64, ok bool) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, 0, false
	}
	return parseIO(string(text))
}

func parseIO(text string) (read, written float64, ok bool) {
	found := 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case name == "read_bytes":
			read = n
			found++
		case name == "write_bytes":
			written = n
			found++
		}
	}
	return read, written, found == 2
}
