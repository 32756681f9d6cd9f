package link

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// Who points a node at something else is told what it may be.
func TestAnswersThatNoNodeGivesAreExplained(t *testing.T) {
	for err, want := range map[error]string{
		io.EOF:                 "as a broker of Apache Kafka does",
		os.ErrDeadlineExceeded: "is it alive?",
		fmt.Errorf("an answer of 1213486160 bytes: %w", errAnswerSize): "is no node",
	} {
		if got := strange(err).Error(); !strings.Contains(got, want) {
			t.Errorf("%v: %s", err, got)
		}
	}
}
