package metrics

import "testing"

// A group may call itself anything; one whose id is no text must not spoil the scrape.
func TestLabelsAreText(t *testing.T) {
	s := sink{families: families(Table())}
	if got := s.label("kafka_consumergroup_members", "a\xffb")[0].GetValue(); got != "a\uFFFDb" {
		t.Errorf("the label is %q", got)
	}
}
