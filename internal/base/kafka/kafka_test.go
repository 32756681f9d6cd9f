package kafka

import "testing"

func TestJavaHashEqualsStringHashCode(t *testing.T) {
	// Values printed by java.lang.String.hashCode.
	for s, want := range map[string]int32{
		"": 0, "a": 97, "console-consumer-1": 35782224, "polygenelubricants": -1 << 31, "Kafka": 72255238, "😀": 1772899,
	} {
		if got := JavaHash(s); got != want {
			t.Errorf("JavaHash(%q) = %d, want %d", s, got, want)
		}
	}
	if got := CoordinatorPartition("polygenelubricants", 50); got != 0 {
		t.Errorf("CoordinatorPartition of the smallest hash = %d, want 0", got)
	}
}

func TestParseTopicPartition(t *testing.T) {
	for s, want := range map[string]TopicPartition{
		"a-0":        {"a", 0},
		"a-b-12":     {"a-b", 12},
		"a.b_c-1-37": {"a.b_c-1", 37},
		"a--1":       {"a-", 1},
	} {
		got, err := ParseTopicPartition(s)
		if err != nil || got != want {
			t.Errorf("ParseTopicPartition(%q) = %v, %v; want %v", s, got, err, want)
		}
		if got.String() != s {
			t.Errorf("String() = %q, want %q", got.String(), s)
		}
	}
	for _, s := range []string{"", "-0", "a", "a-", "a-x", "a-01", "a-99999999999", "a/b-0", "a-0-delete"} {
		if got, err := ParseTopicPartition(s); err == nil {
			t.Errorf("ParseTopicPartition(%q) = %v, want an error", s, got)
		}
	}
}

func TestTopicIDRoundTrip(t *testing.T) {
	id := TopicID{0: 1, 7: 0xfe, 15: 9}
	got, err := ParseTopicID(id.String())
	if err != nil || got != id {
		t.Fatalf("ParseTopicID(%q) = %v, %v", id.String(), got, err)
	}
	if _, err := ParseTopicID("short"); err == nil {
		t.Error("a short id was accepted")
	}
}

func TestValidateTopicName(t *testing.T) {
	long := string(make([]byte, 250))
	for _, s := range []string{"", ".", "..", "a b", "ü", long} {
		if ValidateTopicName(s) == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	for _, s := range []string{"a", "A.b_c-9", "..."} {
		if err := ValidateTopicName(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
}
