package conf

import (
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

func TestThrottledReplicasAreTheOnesNamed(t *testing.T) {
	for _, c := range []struct {
		list      string
		partition int32
		node      kafka.NodeID
		want      bool
	}{
		{"", 0, 0, false},
		{"*", 7, 9, true},
		{"0:1", 0, 1, true},
		{"0:1", 1, 1, false},
		{"0:1", 0, 2, false},
		{"0:1", 1, 0, false},
		{"0:1, 2:3", 2, 3, true},
		{"0:1,2:3", 0, 3, false},
		{"0:1,2:3", 2, 1, false},
		// No partition and no node has such a number; it is not cut to one that has.
		{"4294967296:1", 0, 1, false},
		{"0:4294967297", 0, 1, false},
		{"4294967296:1,0:2", 0, 2, true},
	} {
		got := TopicLog(map[string]string{leaderThrottle: c.list}, Layers{})
		if names := got.LeaderThrottle.Names(c.partition, c.node); names != c.want {
			t.Errorf("leader, %q: names %d:%d %v", c.list, c.partition, c.node, names)
		}
		if got.FollowerThrottle.Names(c.partition, c.node) {
			t.Errorf("leader, %q: the follower's names %d:%d", c.list, c.partition, c.node)
		}
		got = TopicLog(map[string]string{followerThrottle: c.list}, Layers{})
		if names := got.FollowerThrottle.Names(c.partition, c.node); names != c.want {
			t.Errorf("follower, %q: names %d:%d %v", c.list, c.partition, c.node, names)
		}
	}
}

func TestWhatNamesNoReplicaIsRefusedInTheWordsOfKafka(t *testing.T) {
	d, _ := Lookup(ScopeTopic, leaderThrottle)
	for list, shown := range map[string]string{"abc": "[abc]", "0:1,x": "[0:1, x]", "*,0:1": "[*, 0:1]", "-1:0": "[-1:0]", "0:1:2": "[0:1:2]"} {
		_, err := parse(d, list)
		if err == nil || !strings.HasPrefix(err.Error(), "Invalid value "+shown+" for configuration "+leaderThrottle+": ") {
			t.Errorf("%s: %v", list, err)
		}
	}
}
