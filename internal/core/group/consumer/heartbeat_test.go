package consumer

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group/assign"
)

// beat sends a heartbeat made of words: join, epoch=3, topics=a,b, regex=x, own=a:0,1 (own= for none), instance=i, assignor=range,
// and answers "epoch 3 a:0 1" or the error.
func beat(c *coordinator, member, words string) string {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID = "g", member
	for _, w := range strings.Fields(words) {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "join":
			req.RebalanceTimeoutMillis, req.Topics = 30_000, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
			req.SubscribedTopicNames = []string{}
		case "epoch":
			fmt.Sscan(v, &req.MemberEpoch)
		case "topics":
			req.SubscribedTopicNames = strings.Split(v, ",")
		case "regex":
			req.SubscribedTopicRegex = &v
		case "instance":
			req.InstanceID = &v
		case "assignor":
			req.ServerAssignor = &v
		case "own":
			req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
			if name, list, ok := strings.Cut(v, ":"); ok {
				topic := kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: c.topics.id(name)}
				for _, s := range strings.Split(list, ",") {
					var p int32
					fmt.Sscan(s, &p)
					topic.Partitions = append(topic.Partitions, p)
				}
				req.Topics = append(req.Topics, topic)
			}
		}
	}
	t := c.turn()
	resp, err := t.Heartbeat(c.group, Client{member, "/h"}, req)
	if err != nil {
		var k *kerr.Error
		errors.As(err, &k)
		return k.Message + ": " + err.Error()
	}
	c.take(t)
	s := fmt.Sprintf("epoch %d", resp.MemberEpoch)
	if resp.Assignment != nil {
		s += ","
		for _, topic := range resp.Assignment.Topics {
			name, _ := c.topics.Name(topic.TopicID)
			s += fmt.Sprintf(" %s:%v", name, topic.Partitions)
		}
	}
	return s
}

// steps runs lines of "member words → answer"; other lines are commands of the test.
func steps(t *testing.T, c *coordinator, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		said, want, _ := strings.Cut(line, " → ")
		member, words, _ := strings.Cut(said, " ")
		got := ""
		switch member {
		case "advance":
			d, err := time.ParseDuration(words)
			if err != nil {
				t.Fatal(err)
			}
			c.advance(d)
		case "resolve":
			c.resolved()
		case "grow":
			c.topics.grow(words, 1)
		case "reload":
			c.reload()
		case "state":
			got = c.group.State()
		default:
			got = beat(c, member, words)
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", said, got, want)
		}
	}
}

func withTopic(partitions int32) *coordinator {
	c := newCoordinator()
	c.topics.create("a", partitions)
	return c
}

func TestAPartitionMovesWhenItsOwnerSaysThatItLetGo(t *testing.T) {
	steps(t, withTopic(2), `
		state → Empty
		m join topics=a → epoch 2, a:[0 1]
		m epoch=2 own=a:0,1 → epoch 2
		n join topics=a → epoch 3,
		state → Reconciling
		m epoch=2 → epoch 2, a:[0]
		n epoch=3 → epoch 3
		m epoch=2 own=a:0,1 → epoch 2
		n epoch=3 → epoch 3
		m epoch=2 own=a:0 → epoch 3
		n epoch=3 → epoch 3, a:[1]
		state → Stable
		n epoch=3 → epoch 3`)
}

func TestWhoDoesNotLetGoInTimeIsPutOut(t *testing.T) {
	steps(t, withTopic(2), `
		m join topics=a → epoch 2, a:[0 1]
		n join topics=a → epoch 3,
		m epoch=2 → epoch 2, a:[0]
		advance 29s
		m epoch=2 → epoch 2
		n epoch=3 → epoch 3
		advance 2s
		m epoch=2 → UNKNOWN_MEMBER_ID: Member m is not a member of group g.
		n epoch=3 → epoch 4, a:[0 1]`)
}

func TestWhoIsSilentIsPutOut(t *testing.T) {
	steps(t, withTopic(2), `
		m join topics=a → epoch 2, a:[0 1]
		advance 44s
		m epoch=2 → epoch 2
		reload
		advance 44s
		state → Stable
		advance 2s
		state → Empty`)
}

// TestTheEpochBeforeIsRightForWhoHasNoMore: the answer with the new epoch was lost.
func TestTheEpochBeforeIsRightForWhoHasNoMore(t *testing.T) {
	steps(t, withTopic(2), `
		m join topics=a → epoch 2, a:[0 1]
		n join topics=a → epoch 3,
		m epoch=2 → epoch 2, a:[0]
		m epoch=2 own=a:0 → epoch 3
		m epoch=2 own=a:0 → epoch 3
		m epoch=2 own=a:0,1 → FENCED_MEMBER_EPOCH: The consumer group member has a smaller member epoch (2) than the one known by the group coordinator (3). The member must abandon all its partitions and rejoin.
		m epoch=2 → FENCED_MEMBER_EPOCH: The consumer group member has a smaller member epoch (2) than the one known by the group coordinator (3). The member must abandon all its partitions and rejoin.
		m epoch=4 → FENCED_MEMBER_EPOCH: The consumer group member has a greater member epoch (4) than the one known by the group coordinator (3). The member must abandon all its partitions and rejoin.
		m join → epoch 4,`)
}

func TestATopicThatGrowsIsAssignedAgain(t *testing.T) {
	steps(t, withTopic(1), `
		m join topics=a → epoch 2, a:[0]
		grow a
		m epoch=2 → epoch 3, a:[0 1]`)
}

func TestATopicThatIsNoLongerWantedIsGivenUp(t *testing.T) {
	c := withTopic(1)
	c.topics.create("b", 1)
	steps(t, c, `
		m join topics=a,b → epoch 2, a:[0] b:[0]
		m epoch=2 topics=b → epoch 2, b:[0]
		m epoch=2 own=b:0 → epoch 3`)
}

func TestAStaticMemberComesBackToItsPartitions(t *testing.T) {
	steps(t, withTopic(2), `
		m join topics=a instance=i → epoch 2, a:[0 1]
		n join topics=a → epoch 3,
		m epoch=2 instance=i → epoch 2, a:[0]
		x join topics=a instance=i → UNRELEASED_INSTANCE_ID: Static member x with instance id i cannot join the group because the instance id is owned by m member.
		m epoch=-2 instance=i → epoch -2
		n epoch=3 → epoch 3, a:[1]
		x join topics=a instance=i → epoch 3, a:[0]
		m epoch=2 instance=i → FENCED_INSTANCE_ID: Static member m with instance id i was fenced by member x.
		m epoch=2 → UNKNOWN_MEMBER_ID: Member m is not a member of group g.
		x epoch=3 instance=j → UNKNOWN_MEMBER_ID: Instance id j is unknown.
		x epoch=-1 instance=i → epoch -1
		n epoch=3 → epoch 4, a:[0 1]`)
}

func TestARegularExpressionIsResolvedByTheCoordinator(t *testing.T) {
	c := withTopic(1)
	c.topics.create("b", 1)
	steps(t, c, `
		m join regex=a.* → epoch 1,
		resolve
		m epoch=1 → epoch 2, a:[0]
		m epoch=2 regex=(x → INVALID_REGULAR_EXPRESSION: SubscribedTopicRegex `+"`(x`"+` is not a valid regular expression: missing closing ).`)
	c.topics.create("a2", 1)
	steps(t, c, `
		advance 11s
		m epoch=2 → epoch 2
		resolve
		m epoch=2 → epoch 3, a:[0] a2:[0]
		n join regex=a.* → epoch 4,
		m epoch=3 → epoch 3, a:[0]
		advance 11s
		m epoch=3 own=a:0 regex=b → epoch 3,
		resolve
		m epoch=3 own= → epoch 5, b:[0]
		n epoch=4 → epoch 5, a:[0] a2:[0]`)
	if r, ok := c.group.regexes.Get("b"); !ok || len(r.Topics) != 1 {
		t.Errorf("b stands for %v", r)
	}
}

func TestTargetsAreMadeOnceInAnInterval(t *testing.T) {
	c := withTopic(2)
	c.config.AssignmentInterval = time.Second
	steps(t, c, `
		m join topics=a → epoch 2, a:[0 1]
		n join topics=a → epoch 2,
		state → Assigning
		advance 1s
		n epoch=2 → epoch 3
		state → Reconciling`)
}

func TestMostMembersChooseTheAssignor(t *testing.T) {
	c := withTopic(3)
	c.topics.create("b", 3)
	steps(t, c, `
		m join topics=a,b assignor=range → epoch 2, a:[0 1 2] b:[0 1 2]
		n join topics=a,b → epoch 3,`)
	if target, _ := c.group.target.Get("n"); !target.Equal(assign.Assignment{c.topics.id("a"): {2}, c.topics.id("b"): {2}}) {
		t.Errorf("n is to have %v", target)
	}
	turn := c.turn()
	if d := turn.Describe(c.group); d.AssignorName != "range" || d.Epoch != 3 || d.AssignmentEpoch != 3 || len(d.Members) != 2 {
		t.Errorf("described as %+v", d)
	}
}

func TestAGroupIsFull(t *testing.T) {
	c := withTopic(1)
	c.config.MaxSize = 1
	steps(t, c, `
		m join topics=a → epoch 2, a:[0]
		n join topics=a → GROUP_MAX_SIZE_REACHED: The consumer group has reached its maximum capacity of 1 members.
		m epoch=2 → epoch 2`)
}

// TestWhatIsRevertedIsForgotten: an epoch that was not appended is bumped again by the next heartbeat.
func TestWhatIsRevertedIsForgotten(t *testing.T) {
	c := withTopic(1)
	steps(t, c, `m join topics=a → epoch 2, a:[0]`)
	c.topics.grow("a", 1)
	turn := c.turn()
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = "g", "m", 2
	if _, err := turn.Heartbeat(c.group, Client{"m", "/h"}, req); err != nil {
		t.Fatal(err)
	}
	c.lose(turn)
	steps(t, c, `m epoch=2 → epoch 3, a:[0 1]`)
}

func TestOffsetsAreFencedByTheEpochOfThePartition(t *testing.T) {
	c := withTopic(2)
	steps(t, c, `
		m join topics=a → epoch 2, a:[0 1]
		n join topics=a → epoch 3,
		m epoch=2 → epoch 2, a:[0]
		m epoch=2 own=a:0 → epoch 3
		n epoch=3 → epoch 3, a:[1]`)
	a := c.topics.id("a")
	for _, row := range []struct {
		who       string
		epoch     int32
		version   int16
		partition int32
		want      *kerr.Error
	}{
		{"m", 3, 9, 0, nil},
		{"m", 2, 9, 0, nil}, // it has had it since
		{"m", 1, 9, 0, kerr.StaleMemberEpoch},
		{"m", 2, 9, 1, kerr.StaleMemberEpoch}, // given up
		{"m", 4, 9, 0, kerr.StaleMemberEpoch},
		{"n", 2, 9, 1, kerr.StaleMemberEpoch}, // given to it later
		{"n", 3, 9, 1, nil},
		{"m", 3, 8, 0, kerr.UnsupportedVersion},
		{"x", 3, 9, 0, kerr.UnknownMemberID},
		{"", -1, 9, 0, kerr.UnknownMemberID},
	} {
		each, err := c.group.MayCommit(Commit{Member: row.who, Epoch: row.epoch, Version: row.version})
		if err == nil && each != nil {
			err = each(a, row.partition)
		}
		if row.want == nil && err != nil || row.want != nil && !errors.Is(err, row.want) {
			t.Errorf("%+v: %v", row, err)
		}
	}
	for _, row := range []struct {
		who   *string
		epoch int32
		want  *kerr.Error
	}{{nil, -1, nil}, {new("m"), 3, nil}, {new("m"), 2, kerr.StaleMemberEpoch}, {new("x"), 3, kerr.UnknownMemberID}} {
		if err := c.group.MayFetch(row.who, row.epoch); row.want == nil && err != nil || row.want != nil && !errors.Is(err, row.want) {
			t.Errorf("fetch %v %d: %v", row.who, row.epoch, err)
		}
	}
}

func TestTombstonesLeaveNothing(t *testing.T) {
	c := withTopic(2)
	steps(t, c, `
		m join topics=a → epoch 2, a:[0 1]
		n join regex=a → epoch 2,
		resolve
		n epoch=2 → epoch 3`)
	for _, r := range c.group.Tombstones() {
		c.apply(len(c.log), r)
		c.log = append(c.log, r)
	}
	g := c.group
	if n := g.members.Len() + g.target.Len() + g.owners.Len() + g.regexes.Len() + g.instances.Len() + g.epochs.Len(); n != 0 {
		t.Errorf("%d entries are left: %+v", n, g)
	}
}
