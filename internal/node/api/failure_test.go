package api

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestWordsForAClientDoNotRepeatTheCode(t *testing.T) {
	if got := *words(fmt.Errorf("no answer from 2, 3: %w", kerr.NotController)); got != "no answer from 2, 3" {
		t.Error(got)
	}
	if got := *words(kerr.NotController); got != kerr.NotController.Error() {
		t.Error(got)
	}
}
