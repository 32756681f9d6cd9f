package cli

import (
	"slices"
	"testing"
)

func TestALinkByTheNameOfAToolIsThatTool(t *testing.T) {
	for _, c := range [][2][]string{
		{{"/usr/bin/headrace", "topic", "list"}, {"topic", "list"}},
		{{"/usr/local/bin/kafka-topics.sh", "--list"}, {"kafka-topics.sh", "--list"}},
		{{"kcat", "-L"}, {"kcat", "-L"}},
		{{"headrace"}, {}},
		{nil, nil},
	} {
		if got := Args(c[0]); !slices.Equal(got, c[1]) {
			t.Errorf("%v: %v, want %v", c[0], got, c[1])
		}
	}
}
