package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// votes compares who votes and who follows with what is expected.
func (w *world) votes(voters, observers []int32) {
	w.t.Helper()
	ids := func(of []kmsg.DescribeQuorumResponseTopicPartitionReplicaState) (all []int32) {
		for _, r := range of {
			all = append(all, r.ReplicaID)
		}
		slices.Sort(all)
		return all
	}
	q, err := w.quorum()
	if err != nil {
		w.t.Fatal(err)
	}
	if v, o := ids(q.CurrentVoters), ids(q.Observers); !slices.Equal(v, voters) || !slices.Equal(o, observers) {
		w.t.Errorf("%v vote and %v follow, not %v and %v", v, o, voters, observers)
	}
}

// endpoints are the nodes of a kind, brokers or controllers, that a node names, and which it says is the controller.
func (w *world) endpoints(at int, kind int8) (ids []int32, controller int32) {
	w.t.Helper()
	cl := w.client(kgo.SeedBrokers(address(at)))
	defer cl.Close()
	req := kmsg.NewPtrDescribeClusterRequest()
	req.EndpointType = kind
	resp, err := req.RequestWith(w.t.Context(), cl.SeedBrokers()[0])
	if err != nil {
		w.t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		w.t.Errorf("endpoints of type %d at node %d: %v", kind, at, err)
	}
	for _, b := range resp.Brokers {
		ids = append(ids, b.NodeID)
	}
	return ids, resp.ControllerID
}

// refused starts a node that must not start, for a reason in words.
func (w *world) refused(id int, words string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := w.tryStart(ctx, id); err == nil || !strings.Contains(err.Error(), words) {
		w.t.Errorf("node %d with process.roles=%s: %v, not %q", id, w.node(id).roles, err, words)
	}
}

func TestBrokersAreLedByOneController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, "/data", "controller", "broker", "broker")
		w.topic("t", 4)
		l := w.load("t")
		l.goesOn()
		time.Sleep(10 * time.Second) // the leader has looked at its rules more than once
		w.votes([]int32{1}, []int32{2, 3})

		topics, err := kadm.NewClient(w.client()).Metadata(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		if ids := topics.Brokers.NodeIDs(); !slices.Equal(ids, []int32{2, 3}) || !slices.Contains(ids, topics.Controller) {
			t.Errorf("clients are told of the brokers %v and the controller %d", ids, topics.Controller)
		}
		for _, p := range topics.Topics["t"].Partitions {
			if slices.Contains(p.Replicas, 1) {
				t.Errorf("the controller has a replica of partition %d: %v", p.Partition, p.Replicas)
			}
		}

		w.kill(1, false)
		l.goesOn() // who leads knows that it does, until its lease is over; nothing changes without a controller
		w.start(1)
		leader := int(w.partition("t").Leader)
		w.kill(leader, false)
		for w.partition("t").Leader == int32(leader) {
			time.Sleep(10 * time.Millisecond)
		}
		w.start(leader)
		w.inSync("t")
		l.goesOn()
		l.check(t)
	})
}

func TestControllersOutliveOneOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, "/data", "controller", "controller", "controller", "broker", "broker")
		w.voters(3)
		w.topic("t", 1)
		l := w.load("t")
		for i := range 3 {
			l.goesOn()
			q, err := w.quorum()
			if err != nil {
				t.Fatal(err)
			}
			w.kill(int(q.LeaderID), false)
			began := time.Now()
			if _, err := kadm.NewClient(w.client()).CreateTopic(t.Context(), 1, 2, nil, fmt.Sprint("made-", i)); err != nil {
				t.Fatal(err)
			}
			within(t, "a change of the metadata after a kill of its leader", time.Since(began), time.Second)
			w.start(int(q.LeaderID))
		}
		for _, nd := range w.nodes {
			w.kill(nd.id, true)
		}
		w.startAll()
		within(t, "the next acknowledgement after the power is back", l.goesOn(), 10*time.Second)
		w.votes([]int32{1, 2, 3}, []int32{4, 5})
		l.check(t)
	})
}

func TestControllersAnswerWhatIsForControllers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, "/data", "controller", both, "broker")
		time.Sleep(5 * time.Second)
		w.votes([]int32{1}, []int32{2, 3}) // of two voters both would have to live
		for _, at := range []int{1, 2} {
			if ids, active := w.endpoints(at, 2); !slices.Equal(ids, []int32{1, 2}) || active != 1 {
				t.Errorf("node %d says that the controllers are %v, and %d the active one", at, ids, active)
			}
		}
		if ids, active := w.endpoints(3, 1); !slices.Equal(ids, []int32{2, 3}) || !slices.Contains(ids, active) {
			t.Errorf("node 3 says that the brokers are %v, and to ask %d as the controller", ids, active)
		}

		cl := w.client(kgo.SeedBrokers(address(1)))
		controller := cl.SeedBrokers()[0]
		create := kmsg.NewPtrCreateTopicsRequest()
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "made-by-the-controller", 3, 2
		create.Topics = append(create.Topics, topic)
		made, err := create.RequestWith(t.Context(), controller)
		if err != nil || made.Topics[0].ErrorCode != 0 {
			t.Errorf("a topic asked for at a controller: %+v, %v", made, err)
		}
		for _, req := range []kmsg.Request{kmsg.NewPtrMetadataRequest(), kmsg.NewPtrProduceRequest(), kmsg.NewPtrFetchRequest(), kmsg.NewPtrJoinGroupRequest()} {
			if resp, err := controller.Request(t.Context(), req); err == nil {
				t.Errorf("a controller answers %s: %+v", kmsg.NameForKey(req.Key()), resp)
			}
		}
		manual := topic
		manual.Topic, manual.NumPartitions, manual.ReplicationFactor = "on-the-controller", -1, -1
		manual.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{1, 2}}}
		create.Topics[0] = manual
		made, err = create.RequestWith(t.Context(), controller)
		if err != nil || made.Topics[0].ErrorCode != kerr.InvalidReplicaAssignment.Code {
			t.Errorf("a topic on a node that is no broker: %+v, %v", made, err)
		}
	})
}

func TestABrokerAloneIsNeverAVoter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, "/data", both, "broker", "broker")
		time.Sleep(30 * time.Second)
		w.votes([]int32{1}, []int32{2, 3})
		req := kmsg.NewPtrAddRaftVoterRequest()
		req.VoterID = 2
		resp, err := req.RequestWith(t.Context(), w.client())
		if err != nil || resp.ErrorCode != kerr.InvalidRequest.Code || !strings.Contains(*resp.ErrorMessage, "process.roles=broker") {
			t.Errorf("a vote for a broker: %+v, %v", resp, err)
		}

		w.stop(2)
		w.node(2).roles = both // it may vote from here on, and would be the second of two
		w.start(2)
		w.start(w.add("controller"))
		w.voters(3)
		w.votes([]int32{1, 2, 4}, []int32{3})
	})
}

func TestABrokerThatIsEmptyComesBackAsAController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		var moves kadm.AlterPartitionAssignmentsReq
		moves.Assign("t", 0, []int32{1, 2})
		if _, err := kadm.NewClient(w.client()).AlterPartitionAssignments(t.Context(), moves); err != nil {
			t.Fatal(err)
		}
		for len(w.partition("t").Replicas) > 2 {
			time.Sleep(10 * time.Millisecond)
		}
		w.stop(3)
		w.unregister(3)
		w.node(3).roles = "controller"
		w.start(3)
		w.voters(3)
		if ids, _ := w.endpoints(3, 2); !slices.Equal(ids, []int32{1, 2, 3}) {
			t.Errorf("the controllers are %v", ids)
		}
		if ids, _ := w.endpoints(1, 1); !slices.Equal(ids, []int32{1, 2}) {
			t.Errorf("the brokers are %v", ids)
		}
	})
}

func TestRolesThatDoNotFitWhatANodeHasAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		w.stop(3)
		w.node(3).roles = "broker"
		w.refused(3, "take its vote first (headrace cluster remove-voter 3")
		w.node(3).roles = "controller"
		w.refused(3, "has replicas of 1 partitions")

		req := kmsg.NewPtrRemoveRaftVoterRequest()
		req.VoterID = 3
		if resp, err := req.RequestWith(t.Context(), w.client()); err != nil || resp.ErrorCode != 0 {
			t.Fatalf("%+v, %v", resp, err)
		}
		w.node(3).roles = "broker"
		w.start(3)
		w.inSync("t")
		w.votes([]int32{1, 2}, []int32{3})

		w.add("broker")
		w.node(4).join = address(4)
		w.refused(4, "names this node alone")
	})
}
