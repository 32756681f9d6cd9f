package share

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

func (w *world) expect(want string, member string, epoch int32, topics ...string) {
	w.t.Helper()
	if got := w.ask(heartbeat(member, epoch, topics...)); got != want {
		w.t.Errorf("%s at epoch %d is answered %q, want %q", member, epoch, got, want)
	}
}

func TestAMemberThatIsSilentIsPutOut(t *testing.T) {
	w := newWorld(t)
	w.expect("m1 2 has []", "m1", 0, "t")
	w.advance(30 * time.Second)
	w.expect("m1 3 has [2]", "m1", 2)
	w.advance(30 * time.Second)
	w.expect("m1 3", "m1", 3)
	w.load() // the session begins anew
	w.advance(44 * time.Second)
	w.expect("m1 3", "m1", 3)
	w.advance(45 * time.Second)
	w.expect("UNKNOWN_MEMBER_ID", "m1", 3)
	if w.g.State() != Empty || len(w.timers) != 0 {
		t.Errorf("the group is %s, timers %v", w.g.State(), w.timers)
	}
}

func TestAGroupTakesSoManyMembers(t *testing.T) {
	w := newWorld(t)
	w.cfg.MaxSize = 2
	w.expect("m1 2 has []", "m1", 0, "t")
	w.expect("m2 2 has []", "m2", 0, "t") // the next target is not due
	w.expect("GROUP_MAX_SIZE_REACHED", "m3", 0, "t")
	w.advance(2 * time.Second)
	w.expect("m2 3 has [1]", "m2", 0, "t")
	w.expect("m1 3 has [1]", "m1", 2)
	w.expect("m1 -1", "m1", -1)
	w.expect("m3 3 has []", "m3", 0, "t")
}

func TestPartitionsWithoutStateAreNotAssigned(t *testing.T) {
	w := newWorld(t)
	w.slow = true
	w.expect("m1 2 has []", "m1", 0, "t")
	ask := w.waiting[0]
	if len(w.waiting) != 1 || ask.StateEpoch != 2 || len(ask.Topics) != 1 || len(ask.Topics[0].Partitions) != 2 {
		t.Fatalf("asked for %+v", w.waiting)
	}
	w.advance(5 * time.Second)
	w.expect("m1 2", "m1", 2)
	if len(w.waiting) != 1 {
		t.Error("asked again at once")
	}
	w.turn(func(turn *Turn) { turn.NotInitialized(w.g, ask.Topics) })
	w.expect("m1 2", "m1", 2)
	if len(w.waiting) != 2 {
		t.Error("not asked again after a failure")
	}
	w.advance(w.cfg.InitializeRetry)
	w.expect("m1 2", "m1", 2)
	if len(w.waiting) != 3 {
		t.Error("not asked again after silence")
	}
	one := []Partitions{{Topic: ask.Topics[0].Topic, Partitions: []int32{1}}}
	w.turn(func(turn *Turn) { turn.Initialized(w.g, one) })
	if left := w.g.state().initializing; len(left[one[0].Topic].partitions) != 1 {
		t.Errorf("still to come is %+v", left)
	}
	w.expect("m1 3 has [1]", "m1", 2)
	w.load()
	w.advance(2 * time.Second)
	w.expect("m1 3", "m1", 3)
	if last := w.waiting[len(w.waiting)-1].Topics[0]; len(w.waiting) != 4 || len(last.Partitions) != 1 || last.Partitions[0] != 0 {
		t.Errorf("asked for %+v after a load", last)
	}
}

func TestTopicsComeGrowAndGo(t *testing.T) {
	w := newWorld(t)
	w.expect("m1 2 has []", "m1", 0, "t", "v")
	w.advance(2 * time.Second)
	w.expect("m1 3 has [2]", "m1", 2)
	w.topics.set("v", 1)
	w.topics.set("t", 3)
	w.advance(2 * time.Second)
	w.expect("m1 4", "m1", 3) // state comes first
	w.advance(2 * time.Second)
	w.expect("m1 5 has [1 3]", "m1", 4)
	w.topics.set("t", 0)
	w.advance(2 * time.Second)
	w.expect("m1 6 has [1]", "m1", 5)
	w.turn(func(turn *Turn) { turn.TopicsDeleted(w.g, []kafka.TopicID{{'t'}, {'x'}}) })
	w.advance(2 * time.Second)
	w.expect("m1 6", "m1", 6)
	before := len(w.log)
	w.turn(func(turn *Turn) { turn.TopicsDeleted(w.g, []kafka.TopicID{{'t'}}) })
	w.advance(2 * time.Second)
	w.expect("m1 6", "m1", 6)
	if len(w.log) != before {
		t.Errorf("%d records for nothing", len(w.log)-before)
	}
}

func TestATopicThatIsGoneIsNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.expect("m1 2 has []", "m1", 0, "t")
	w.advance(2 * time.Second)
	w.expect("m1 3 has [2]", "m1", 2)
	w.topics.set("t", 0)
	w.advance(2 * time.Second)
	w.expect("m1 4 has []", "m1", 3)
	w.advance(2 * time.Second)
	w.expect("m1 4", "m1", 4)
}

func TestWhatALeaverSubscribedToNoLongerCounts(t *testing.T) {
	w := newWorld(t)
	w.expect("m1 2 has []", "m1", 0, "t")
	w.advance(2 * time.Second)
	w.expect("m2 3 has []", "m2", 0, "u")
	w.expect("m2 -1", "m2", -1)
	w.advance(2 * time.Second)
	w.expect("m1 4 has [2]", "m1", 2)
	w.load()
	w.advance(2 * time.Second)
	w.expect("m1 4", "m1", 4)
}

func TestAfterAFailedAppendEverythingIsAskedAgain(t *testing.T) {
	w := newWorld(t)
	w.expect("m1 2 has []", "m1", 0, "t")
	w.advance(2 * time.Second)
	w.expect("m1 3 has [2]", "m1", 2)
	w.slow = true
	w.topics.set("t", 3)
	w.advance(2 * time.Second)
	w.failAppend("m1", 3)
	w.expect("m1 4", "m1", 3)
	if len(w.waiting) != 1 {
		t.Errorf("asked for %+v", w.waiting)
	}
}

func TestDescribe(t *testing.T) {
	w := newWorld(t)
	w.expect("m1 2 has []", "m1", 0, "t")
	w.advance(2 * time.Second)
	w.expect("m1 3 has [2]", "m1", 2)
	turn := &Turn{Topics: w.topics}
	d := turn.Describe(w.g)
	if d.GroupID != "g" || d.GroupState != Stable || d.GroupEpoch != 3 || d.AssignmentEpoch != 3 || d.Assignor != "simple" || len(d.Members) != 1 {
		t.Fatalf("described is %+v", d)
	}
	m := d.Members[0]
	if m.MemberID != "m1" || m.MemberEpoch != 3 || m.ClientID != "c" || m.ClientHost != "/127.0.0.1" || fmt.Sprint(m.SubscribedTopicNames) != "[t]" ||
		len(m.Assignment.TopicPartitions) != 1 || m.Assignment.TopicPartitions[0].Topic != "t" || len(m.Assignment.TopicPartitions[0].Partitions) != 2 {
		t.Errorf("described is %+v", m)
	}
}

func TestTombstonesLeaveNothing(t *testing.T) {
	w := newWorld(t)
	w.expect("m1 2 has []", "m1", 0, "t")
	w.advance(2 * time.Second)
	w.expect("m2 3 has [1]", "m2", 0, "t")
	for _, r := range w.g.Tombstones() {
		if r.Value != nil {
			t.Errorf("%x is no tombstone", r.Key)
		}
		w.apply(kafka.Offset(len(w.log)), r)
		w.log = append(w.log, r)
	}
	g := w.g
	if g.Members() != 0 || g.epochs.Len() > 1 || g.target.Len() != 0 || g.states.Len() != 0 || g.now().target != 0 {
		t.Errorf("left are %d members, %+v", g.Members(), g.now())
	}
}

// Members come, go and fall silent, topics grow, the coordinator moves and appends fail. In the end each partition has a
// member, each member that asks has some, and the group is quiet.
func TestGroupsComeToRest(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 13))
		w := newWorld(t)
		epochs := map[string]int32{}
		names := []string{"m1", "m2", "m3"}
		ask := func(member string, topics ...string) {
			req := heartbeat(member, epochs[member], topics...)
			var epoch int32
			text := w.ask(req)
			if _, err := fmt.Sscanf(text, member+" %d", &epoch); err != nil {
				delete(epochs, member) // it joins again
				return
			}
			epochs[member] = epoch
		}
		for range 80 {
			member := names[rng.IntN(3)]
			switch rng.IntN(8) {
			case 0:
				ask(member, "t", "u")
			case 1:
				w.load()
			case 2:
				w.topics.set("t", w.topics.partitions["t"]+1)
			case 3:
				w.advance(time.Duration(rng.IntN(50)) * time.Second)
			case 4:
				w.failAppend(member, epochs[member])
			default:
				if epochs[member] == 0 {
					ask(member, "t")
				}
				ask(member)
			}
		}
		for range 12 {
			for _, member := range names {
				if epochs[member] == 0 {
					ask(member, "t")
				} else {
					ask(member)
				}
			}
			w.advance(2 * time.Second)
		}
		w.checkRest(names, epochs)
		if t.Failed() {
			t.Fatal("seed", seed)
		}
	}
}

// failAppend has a heartbeat's records be applied and taken back.
func (w *world) failAppend(member string, epoch int32) {
	if w.g == nil {
		return
	}
	turn := &Turn{Now: w.now, Topics: w.topics, Config: w.cfg}
	turn.Heartbeat(w.g, Client{ID: "c", Host: "/127.0.0.1"}, heartbeat(member, epoch, "t"))
	for i, r := range turn.Out.Records {
		w.apply(kafka.Offset(len(w.log)+i), r)
	}
	w.h.Revert(kafka.Offset(len(w.log)))
	w.g.Forget()
}

func (w *world) checkRest(names []string, epochs map[string]int32) {
	before := len(w.log)
	has := map[string]bool{}
	for _, name := range names {
		w.expect(fmt.Sprintf("%s %d", name, epochs[name]), name, epochs[name])
		m := w.g.Member(name)
		if m.Assigned.Len() == 0 && len(m.Topics) > 0 {
			w.t.Errorf("%s has nothing", name)
		}
		for id, partitions := range m.Assigned {
			for _, p := range partitions {
				has[fmt.Sprint(id[0], p)] = true
			}
		}
	}
	for p := range w.topics.partitions["t"] {
		if !has[fmt.Sprint('t', p)] {
			w.t.Errorf("nobody has partition %d", p)
		}
	}
	if len(w.log) != before {
		w.t.Errorf("%d records at rest", len(w.log)-before)
	}
}
