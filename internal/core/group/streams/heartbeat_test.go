package streams

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ask sends a heartbeat and takes what comes of it.
func (c *coordinator) ask(req *kmsg.StreamsGroupHeartbeatRequest) (*kmsg.StreamsGroupHeartbeatResponse, error) {
	if err := Check(req); err != nil {
		return nil, err
	}
	t := c.turn()
	resp, err := t.Heartbeat(c.group, Client{ID: "c", Host: "/h"}, req)
	if err == nil {
		c.take(t)
	}
	return resp, err
}

// beatOf is a heartbeat that says nothing new, or a first one.
func beatOf(member string, epoch int32) *kmsg.StreamsGroupHeartbeatRequest {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = "g", member, epoch, -1
	if epoch == 0 {
		process := "p-" + member
		req.RebalanceTimeoutMillis, req.ProcessID, req.Topology = 30_000, &process, application()
		req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	}
	return req
}

func (c *coordinator) mustAsk(t *testing.T, req *kmsg.StreamsGroupHeartbeatRequest) *kmsg.StreamsGroupHeartbeatResponse {
	t.Helper()
	resp, err := c.ask(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func codes(resp *kmsg.StreamsGroupHeartbeatResponse) []int8 {
	var all []int8
	for _, s := range resp.Status {
		all = append(all, s.StatusCode)
	}
	return all
}

// settled is a group of m that has all that there is.
func settled(t *testing.T) (*coordinator, int32) {
	t.Helper()
	c := newCoordinator()
	c.topics.create("a", 2)
	c.topics.create("b", 2)
	c.mustAsk(t, beatOf("m", 0))
	c.created()
	resp := c.mustAsk(t, beatOf("m", 2))
	if len(resp.ActiveTasks) != 3 || len(resp.Status) != 0 {
		t.Fatalf("%+v", resp)
	}
	return c, resp.MemberEpoch
}

func TestAGroupWaitsForItsTopics(t *testing.T) {
	c := newCoordinator()
	resp := c.mustAsk(t, beatOf("m", 0))
	if !slices.Equal(codes(resp), []int8{MissingSourceTopics}) || resp.MemberEpoch != 2 || resp.ActiveTasks == nil || len(resp.ActiveTasks) > 0 {
		t.Fatalf("without sources: %+v", resp)
	}
	c.topics.create("a", 2)
	c.topics.create("b", 3)
	if resp = c.mustAsk(t, beatOf("m", 2)); !slices.Equal(codes(resp), []int8{MissingInternalTopics}) || len(c.create) != 2 {
		t.Fatalf("without internal topics: %+v, to be made: %v", resp, c.create)
	}
	if c.mustAsk(t, beatOf("m", 3)); len(c.create) != 2 {
		t.Errorf("topics that are being made are asked for again: %v", c.create)
	}
	c.created("again")
	resp = c.mustAsk(t, beatOf("m", 3))
	if want := "Internal topics are missing: again; Creation failed: again (no)."; len(c.create) != 0 || resp.Status[0].StatusDetail != want {
		t.Errorf("after a failure: %+v, to be made: %v", resp.Status, c.create)
	}
	c.advance(10 * time.Second)
	if c.mustAsk(t, beatOf("m", resp.MemberEpoch)); len(c.create) != 1 || c.create[0].Partitions != 2 {
		t.Errorf("two heartbeats later: %v", c.create)
	}
	if st := c.group.State(); st != StateNotReady {
		t.Errorf("the group is %s", st)
	}
	c.created()
	resp = c.mustAsk(t, beatOf("m", resp.MemberEpoch))
	if len(resp.Status) != 0 || len(resp.ActiveTasks) != 3 || c.group.State() != StateStable {
		t.Errorf("with all topics: %+v, %s", resp, c.group.State())
	}
}

// TestTheEpochFollows what a target depends on, and nothing else.
func TestTheEpochFollows(t *testing.T) {
	for name, change := range map[string]func(*coordinator, *kmsg.StreamsGroupHeartbeatRequest){
		"the partitions of topics": func(c *coordinator, _ *kmsg.StreamsGroupHeartbeatRequest) { c.topics.grow("b", 1) },
		"the standbys":             func(c *coordinator, _ *kmsg.StreamsGroupHeartbeatRequest) { c.config.StandbyReplicas = 1 },
		"the member":               func(_ *coordinator, r *kmsg.StreamsGroupHeartbeatRequest) { r.RackID = new("r") },
		"topics that are gone": func(c *coordinator, _ *kmsg.StreamsGroupHeartbeatRequest) {
			c.topics.names[0] = "other"
			c.topics.version++
		},
		"nothing": func(c *coordinator, _ *kmsg.StreamsGroupHeartbeatRequest) { c.topics.create("z", 1) },
	} {
		c, epoch := settled(t)
		before := c.group.now().group
		req := beatOf("m", epoch)
		change(c, req)
		lost := c.turn() // an append that fails must not hide the change
		if _, err := lost.Heartbeat(c.group, Client{"c", "/h"}, req); err != nil {
			t.Fatal(err)
		}
		c.lose(lost)
		c.mustAsk(t, req)
		if after := c.group.now().group; (after == before+1) != (name != "nothing") {
			t.Errorf("%s: from epoch %d to %d", name, before, after)
		}
	}
}

func TestTheFirstTargetWaitsForMembers(t *testing.T) {
	c := newCoordinator()
	c.config.InitialRebalanceDelay = 3 * time.Second
	for _, topic := range []string{"a", "b", "again", "counts"} {
		c.topics.create(topic, 2)
	}
	resp := c.mustAsk(t, beatOf("m", 0))
	if !slices.Equal(codes(resp), []int8{AssignmentDelayed}) || resp.MemberEpoch != 1 {
		t.Fatalf("%+v", resp)
	}
	c.mustAsk(t, beatOf("n", 0))
	c.advance(3 * time.Second)
	for _, id := range []string{"m", "n"} {
		resp := c.mustAsk(t, beatOf(id, 1))
		n := 0
		for _, part := range resp.ActiveTasks {
			n += len(part.Partitions)
		}
		if n != 3 || resp.MemberEpoch != 3 || len(resp.Status) != 0 {
			t.Errorf("%s: %+v", id, resp)
		}
	}
}

func TestWhoHasAnotherEpochIsFenced(t *testing.T) {
	c, epoch := settled(t)
	for _, e := range []int32{epoch - 2, epoch + 1} {
		if _, err := c.ask(beatOf("m", e)); !errors.Is(err, kerr.FencedMemberEpoch) {
			t.Errorf("epoch %d of %d: %v", e, epoch, err)
		}
	}
	// The answer that brought the epoch was lost: who says it has no more than it may goes on, and is told again.
	lost := beatOf("m", epoch-1)
	if _, err := c.ask(lost); !errors.Is(err, kerr.FencedMemberEpoch) {
		t.Errorf("without its tasks: %v", err)
	}
	lost.ActiveTasks, lost.StandbyTasks, lost.WarmupTasks = []kmsg.TaskIDs{{SubtopologyID: "0", Partitions: []int32{1}}}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	if resp := c.mustAsk(t, lost); resp.MemberEpoch != epoch || len(resp.ActiveTasks) != 3 {
		t.Errorf("%+v", resp)
	}
	c.mustAsk(t, beatOf("n", 0)) // takes tasks of m over
	resp := c.mustAsk(t, beatOf("m", epoch))
	lost = beatOf("m", epoch-1)
	lost.ActiveTasks = []kmsg.TaskIDs{{SubtopologyID: "0", Partitions: []int32{0, 1}}}
	lost.StandbyTasks, lost.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	if _, err := c.ask(lost); resp.MemberEpoch != epoch || !errors.Is(err, kerr.FencedMemberEpoch) {
		t.Errorf("an old epoch with tasks that were taken away: %v", err)
	}
	if _, err := c.ask(beatOf("x", 1)); !errors.Is(err, kerr.UnknownMemberID) {
		t.Errorf("nobody: %v", err)
	}
}

func TestATopologyStays(t *testing.T) {
	c, _ := settled(t)
	other := beatOf("n", 0)
	other.Topology.Subtopologies[0].SourceTopics = []string{"b"}
	if _, err := c.ask(other); !errors.Is(err, kerr.InvalidRequest) || !strings.Contains(err.Error(), "Topology updates") {
		t.Errorf("another topology: %v", err)
	}
	swapped := beatOf("n", 0)
	slices.Reverse(swapped.Topology.Subtopologies)
	c.mustAsk(t, swapped)
	g := newCoordinator()
	later := beatOf("m", 0)
	later.Topology.Epoch = 3
	g.mustAsk(t, later)
	if resp := g.mustAsk(t, beatOf("n", 0)); codes(resp)[0] != StaleTopology {
		t.Errorf("an older topology: %+v", resp.Status)
	}
}

func TestAShutdownIsTold(t *testing.T) {
	c, epoch := settled(t)
	req := beatOf("m", epoch)
	req.ShutdownApplication = true
	if resp := c.mustAsk(t, req); !slices.Equal(codes(resp), []int8{ShutdownApplication}) {
		t.Errorf("%+v", resp.Status)
	}
	if resp := c.mustAsk(t, beatOf("n", 0)); !slices.Contains(codes(resp), ShutdownApplication) {
		t.Errorf("another member: %+v", resp.Status)
	}
	for _, id := range []string{"m", "n"} {
		c.mustAsk(t, beatOf(id, LeftEpoch))
	}
	if resp := c.mustAsk(t, beatOf("m", 0)); slices.Contains(codes(resp), ShutdownApplication) {
		t.Errorf("after the last one left: %+v", resp.Status)
	}
}

func TestEndpointsAreTold(t *testing.T) {
	c, epoch := settled(t)
	req := beatOf("n", 0)
	req.UserEndpoint = &kmsg.StreamsGroupHeartbeatRequestUserEndpoint{Host: "h", Port: 80}
	resp := c.mustAsk(t, req)
	if resp.EndpointInformationEpoch != 1 || len(resp.PartitionsByUserEndpoint) != 1 {
		t.Fatalf("%+v", resp)
	}
	held := resp.MemberEpoch
	m := beatOf("m", epoch)
	if resp = c.mustAsk(t, m); resp.EndpointInformationEpoch != 1 || len(resp.PartitionsByUserEndpoint) != 1 {
		t.Fatalf("another member: %+v", resp)
	}
	m = beatOf("m", epoch)
	m.EndpointInformationEpoch = 1
	m.ActiveTasks, m.StandbyTasks, m.WarmupTasks = resp.ActiveTasks, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	if resp = c.mustAsk(t, m); resp.PartitionsByUserEndpoint != nil {
		t.Errorf("who knows it already: %+v", resp)
	}
	resp = c.mustAsk(t, beatOf("n", held))
	e := resp.PartitionsByUserEndpoint
	if resp.EndpointInformationEpoch != 2 || len(e) != 1 || len(e[0].ActivePartitions) == 0 || e[0].UserEndpoint.Port != 80 {
		t.Errorf("with tasks: %+v", resp)
	}
}

func TestHeartbeatsThatAreRefused(t *testing.T) {
	for want, change := range map[string]func(*kmsg.StreamsGroupHeartbeatRequest){
		"Static membership is not yet supported.": func(r *kmsg.StreamsGroupHeartbeatRequest) { r.InstanceID = new("i") },
		"WarmupTasks are not supported yet.":      func(r *kmsg.StreamsGroupHeartbeatRequest) { r.WarmupTasks = make([]kmsg.TaskIDs, 1) },
		"Regular expressions for source topics are not supported yet.": func(r *kmsg.StreamsGroupHeartbeatRequest) {
			r.Topology.Subtopologies[0].SourceTopicRegex = []string{"x"}
		},
		"MemberId can't be empty.":                                    func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberID = " " },
		"ActiveTasks must be empty when (re-)joining.":                func(r *kmsg.StreamsGroupHeartbeatRequest) { r.ActiveTasks = nil },
		"Topology must be non-null when (re-)joining.":                func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Topology = nil },
		"Topology can only be provided when (re-)joining.":            func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch = 1 },
		"If one task-type is non-null, all must be non-null.":         func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch, r.Topology, r.StandbyTasks = 1, nil, nil },
		"MemberEpoch is -3, but must be greater than or equal to -2.": func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch = -3 },
		"InstanceId can't be null.":                                   func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch = -2 },
		"RebalanceTimeoutMs must be provided in first request.":       func(r *kmsg.StreamsGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 },
		"Topic names a b are not valid topic names.":                  func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Topology.Subtopologies[0].SourceTopics[0] = "a b" },
		"Use of Kafka internal topics __consumer_offsets in a Kafka Streams topology is prohibited.": func(r *kmsg.StreamsGroupHeartbeatRequest) {
			r.Topology.Subtopologies[0].SourceTopics[0] = "__consumer_offsets"
		},
		"Changelog topic counts must have an undefined partition count, but it is set to 4.": func(r *kmsg.StreamsGroupHeartbeatRequest) {
			r.Topology.Subtopologies[1].StateChangelogTopics[0].NumPartitions = 4
		},
	} {
		req := beatOf("m", 0)
		change(req)
		if err := Check(req); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c, epoch := settled(t)
	for want, part := range map[string]kmsg.TaskIDs{
		"Subtopology 9 does not exist in the topology.":                                {SubtopologyID: "9"},
		"Task 2 for subtopology 0 is invalid. Number of tasks for this subtopology: 2": {SubtopologyID: "0", Partitions: []int32{2}},
	} {
		req := beatOf("m", epoch)
		req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{part}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
		if _, err := c.ask(req); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestCommitsAreFencedByTask(t *testing.T) {
	c, epoch := settled(t)
	may := func(e int32, topic string, p int32) error {
		each, err := c.group.MayCommit(Commit{Member: "m", Epoch: e, Version: 9})
		if err == nil && each != nil {
			err = each(topic, p)
		}
		return err
	}
	since := c.group.Member("m").Assigned[Active][Task{"0", 1}]
	for _, ok := range []error{may(epoch, "a", 1), may(since, "a", 1), may(since, "again", 0)} {
		if ok != nil {
			t.Error(ok)
		}
	}
	c.mustAsk(t, beatOf("n", 0))
	c.mustAsk(t, beatOf("m", epoch)) // it is to give up tasks, and may commit for them till it has
	if err := may(since, "a", 1); err != nil {
		t.Error(err)
	}
	for _, refused := range []error{may(epoch+5, "a", 1), may(since-1, "a", 1), may(since-1, "z", 0), may(since-1, "a", 7)} {
		if !errors.Is(refused, kerr.StaleMemberEpoch) {
			t.Errorf("%v", refused)
		}
	}
	if _, err := c.group.MayCommit(Commit{Member: "m", Epoch: epoch, Version: 8}); !errors.Is(err, kerr.UnsupportedVersion) {
		t.Errorf("an old version: %v", err)
	}
	if _, err := c.group.MayCommit(Commit{Epoch: -1, Version: 9}); !errors.Is(err, kerr.UnknownMemberID) {
		t.Errorf("without a member, of a group that has some: %v", err)
	}
}
