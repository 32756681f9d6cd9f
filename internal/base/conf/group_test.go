package conf

import (
	"testing"
	"time"
)

// The words are those of Apache Kafka 4.3.1; interop/differential asks it again.
func TestGroupKeysAreHeldAgainstTheNodesBounds(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"consumer.session.timeout.ms", "45000", ""},
		{"consumer.session.timeout.ms", "44999", "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"},
		{"consumer.session.timeout.ms", "60001", "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms"},
		{"consumer.session.timeout.ms", "0", "Invalid value 0 for configuration consumer.session.timeout.ms: Value must be at least 1"},
		{"consumer.heartbeat.interval.ms", "15001", "consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms"},
		{"consumer.assignment.interval.ms", "0", ""},
		{"consumer.assignment.interval.ms", "15001", "consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms"},
		{"retention.ms", "5", "Unknown group config name: retention.ms"},
	} {
		got := ""
		if err := CheckGroup(map[string]string{c.key: c.value}, Layers{}); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s=%s: %q, want %q", c.key, c.value, got, c.want)
		}
	}
	wide, err := NewStatic(map[string]string{"group.consumer.max.heartbeat.interval.ms": "90000", "group.consumer.min.session.timeout.ms": "1000"})
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]string{"consumer.session.timeout.ms": "9000", "consumer.heartbeat.interval.ms": "9000"}
	if err := CheckGroup(own, Layers{Static: wide}); err == nil {
		t.Error("a session may end with the first heartbeat")
	}
}

// A value that the node's bounds no longer allow counts as the nearest that they do.
func TestGroupValuesAreKeptInsideTheBounds(t *testing.T) {
	n, err := NewNode(Layers{})
	if err != nil {
		t.Fatal(err)
	}
	c := n.Groups.Consumer.Of(map[string]string{"consumer.session.timeout.ms": "1", "consumer.heartbeat.interval.ms": "99000"})
	if c.Session != 45*time.Second || c.Heartbeat != 15*time.Second || c.Assignment != time.Second {
		t.Errorf("session %v, heartbeat %v, assignment %v", c.Session, c.Heartbeat, c.Assignment)
	}
}

func TestStreamsGroupKeysAreHeldAgainstTheNodesBounds(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"streams.session.timeout.ms", "45000", ""},
		{"streams.session.timeout.ms", "44999", "streams.session.timeout.ms must be greater than or equal to group.streams.min.session.timeout.ms"},
		{"streams.heartbeat.interval.ms", "15001", "streams.heartbeat.interval.ms must be less than or equal to group.streams.max.heartbeat.interval.ms"},
		{"streams.assignment.interval.ms", "15001", "streams.assignment.interval.ms must be less than or equal to group.streams.max.assignment.interval.ms"},
		{"streams.num.standby.replicas", "2", ""},
		{"streams.num.standby.replicas", "3", "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas"},
		{"streams.initial.rebalance.delay.ms", "-1", "Invalid value -1 for configuration streams.initial.rebalance.delay.ms: Value must be at least 0"},
	} {
		got := ""
		if err := CheckGroup(map[string]string{c.key: c.value}, Layers{}); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s=%s: %q, want %q", c.key, c.value, got, c.want)
		}
	}
	n, err := NewNode(Layers{})
	if err != nil {
		t.Fatal(err)
	}
	c := n.Groups.Streams.Of(map[string]string{"streams.session.timeout.ms": "1", "streams.num.standby.replicas": "9", "streams.initial.rebalance.delay.ms": "7"})
	if c.Session != 45*time.Second || c.Standbys != 2 || c.InitialDelay != 7*time.Millisecond || c.Heartbeat != 5*time.Second {
		t.Errorf("%+v", c)
	}
	static, err := NewStatic(map[string]string{"group.streams.num.standby.replicas": "3"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewNode(Layers{Static: static}); err == nil {
		t.Error("more standbys than the most that a group may be given")
	}
}
