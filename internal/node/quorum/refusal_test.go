package quorum

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/peer"
)

// A refusal of another node is told with its code's text, and once, whether or not that node wrote the text into its message.
func TestRefusalElsewhereSaysTheCodeOnce(t *testing.T) {
	code := kerr.PolicyViolation
	for _, c := range []struct{ message, want string }{
		{"too many partitions: " + code.Error(), "too many partitions: " + code.Error()},
		{"too many partitions", "too many partitions: " + code.Error()},
		{code.Error() + ": wait", code.Error() + ": wait"},
	} {
		_, _, err := Answer(&peer.SubmitResponse{ErrorCode: code.Code, ErrorMessage: c.message})
		if !errors.Is(err, code) {
			t.Errorf("%q: the code is lost in %v", c.message, err)
		}
		if got := err.Error(); got != c.want {
			t.Errorf("%q: got %q, want %q", c.message, got, c.want)
		}
	}
}
