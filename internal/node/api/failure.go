package api

import (
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// unknownOperations says that the authorized operations were not asked for (KIP-430).
const unknownOperations = -1 << 31

// groupOperations are, as bits by Kafka's numbers, all operations that exist for groups: read, delete, describe, and
// describe and alter configs.
const groupOperations = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// failure is an error code with a message for the reader.
func failure(e *kerr.Error, message string) (int16, *string) { return e.Code, kmsg.StringPtr(message) }

// words is an error as a client is told it beside its code, which says already what Kafka calls it.
func words(err error) *string {
	text := err.Error()
	if k := new(kerr.Error); errors.As(err, &k) {
		text = strings.TrimSuffix(text, ": "+k.Error())
	}
	return &text
}
