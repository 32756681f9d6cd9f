package partition

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/await"
)

func TestAnAppendIsAcknowledgedWhenItIsSafeOnTheFollowerToo(t *testing.T) {
	for _, durability := range []string{"flush", "os"} {
		r := newPair(t, vfs.NewMem(), vfs.NewMem(), "durability", durability)
		leader := r.node(1)
		a, epoch := put(t, leader, "one")
		w := await.NewWaiter(1)
		leader.Await(w, AllReplicas, a.Last+1)
		settle(t, leader)
		r.round(2)
		if acked, err := leader.Acked(AllReplicas, epoch, a.Last+1); acked || err != nil || w.Done() {
			t.Fatalf("%s: acknowledged before the follower said that it has it: %v %v", durability, acked, err)
		}
		r.round(2)
		<-w.Woken()
		if acked, err := leader.Acked(AllReplicas, epoch, a.Last+1); !acked || err != nil {
			t.Fatalf("%s: %v %v", durability, acked, err)
		}
		r.sync(2)
		wantValues(t, leader, "one")
		r.abandon()
	}
}

// A leader that was replaced and leads again may have another record at the offset, and has it committed.
func TestAnAppendIsNotAcknowledgedByALaterLeadershipOfTheSameNode(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	lost, epoch := put(t, r.node(1), "lost")
	r.elect(2)
	put(t, r.node(2), "kept")
	r.sync(1)
	r.elect(1)
	r.sync(2)
	for _, acks := range []int16{AllReplicas, 1} {
		if acked, err := r.node(1).Acked(acks, epoch, lost.Last+1); acked || !errors.Is(err, kerr.NotLeaderForPartition) {
			t.Errorf("acks=%d: a record that is lost is answered with %v, %v", acks, acked, err)
		}
	}
	wantValues(t, r.node(1), "kept")
}

func TestAFollowerThatCameBackJoinsTheISR(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	r.isr(1)
	leader := r.node(1)
	mustWrite(t, leader, "one")
	r.round(2)
	if r.joins != 0 {
		t.Fatal("an empty follower is said to have caught up")
	}
	r.round(2)
	pr, ok := leader.ProposeISR(time.Now(), time.Hour)
	if r.joins != 1 || !ok || len(pr.ISR) != 2 || pr.ISR[1] != (ISRMember{ID: 2, BrokerEpoch: 102}) || pr.TopicID != topicID("t") {
		t.Fatalf("told %d times, proposed %+v %v", r.joins, pr, ok)
	}
	if _, again := leader.ProposeISR(time.Now(), time.Hour); again {
		t.Fatal("two proposals at a time")
	}
	a, epoch := put(t, leader, "two")
	settle(t, leader)
	if acked, _ := leader.Acked(AllReplicas, epoch, a.Last+1); acked {
		t.Fatal("acknowledged without who may be in the ISR by now")
	}
	leader.ISRSettled(pr, kerr.IneligibleReplica)
	r.change(func(g *metadata.PartitionRecord) {}) // a node that was refused lags in the end; here it catches up
	r.sync(2)
	if acked, err := leader.Acked(AllReplicas, epoch, a.Last+1); !acked || err != nil {
		t.Fatal(acked, err)
	}
}

func TestAFollowerThatLagsIsProposedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPair(t, vfs.NewMem(), vfs.NewMem())
		defer r.abandon()
		a, epoch := put(t, r.node(1), "one")
		time.Sleep(10 * time.Second)
		if pr, ok := r.node(1).ProposeISR(time.Now(), 30*time.Second); ok {
			t.Fatalf("proposed %+v", pr)
		}
		time.Sleep(21 * time.Second)
		pr, ok := r.node(1).ProposeISR(time.Now(), 30*time.Second)
		if !ok || len(pr.ISR) != 1 || pr.ISR[0].ID != 1 {
			t.Fatalf("proposed %+v %v", pr, ok)
		}
		r.node(1).ISRSettled(pr, nil)
		if acked, _ := r.node(1).Acked(AllReplicas, epoch, a.Last+1); acked {
			t.Fatal("acknowledged before the metadata shows that the follower is out")
		}
		r.isr(1)
		if acked, err := r.node(1).Acked(AllReplicas, epoch, a.Last+1); !acked || err != nil {
			t.Fatal(acked, err)
		}
	})
}

func TestAFencedFollowerIsNotWaitedFor(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	r.isr(1)
	leader := r.node(1)
	mustWrite(t, leader, "one")
	r.round(2)
	r.round(2)
	a, epoch := put(t, leader, "two")
	settle(t, leader)
	if acked, _ := leader.Acked(AllReplicas, epoch, a.Last+1); acked {
		t.Fatal("does not wait for who is about to join")
	}
	r.hosts[0].apply(&metadata.BrokerRegistrationChangeRecord{Node: 2, Epoch: 102, Fenced: 1})
	if acked, err := leader.Acked(AllReplicas, epoch, a.Last+1); !acked || err != nil {
		t.Fatal(acked, err)
	}
}

func TestFetchesOfReplicasThatAreNotFollowersNowAreRefused(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	mustAsk := func(f FollowerFetch, want error) {
		t.Helper()
		f.MaxBytes, f.LastEpoch = 1<<20, -1
		if _, err := r.node(1).FetchAsReplica(time.Now(), f); !errors.Is(err, want) {
			t.Errorf("%+v: %v, want %v", f, err, want)
		}
	}
	mustAsk(FollowerFetch{Replica: 2, BrokerEpoch: 102}, nil)
	mustAsk(FollowerFetch{Replica: 3, BrokerEpoch: 103}, kerr.UnknownLeaderEpoch)
	mustAsk(FollowerFetch{Replica: 3, BrokerEpoch: 103, Epoch: -1}, kerr.NotLeaderForPartition)
	mustAsk(FollowerFetch{Replica: 2, BrokerEpoch: 101}, kerr.NotLeaderForPartition)
	mustAsk(FollowerFetch{Replica: 2, BrokerEpoch: 102, Epoch: 1}, kerr.UnknownLeaderEpoch)
	mustAsk(FollowerFetch{Replica: 2, BrokerEpoch: 102, Offset: 1}, kerr.OffsetOutOfRange)
	r.elect(2)
	mustAsk(FollowerFetch{Replica: 2, BrokerEpoch: 102}, kerr.NotLeaderForPartition)
	mustAsk(FollowerFetch{Replica: 2, BrokerEpoch: 102, Epoch: 1}, kerr.NotLeaderForPartition)
}

func TestNothingIsLedBeforeTheNodeIsRegistered(t *testing.T) {
	mine := topicID("this process")
	h := newHost(t, vfs.NewMem(), func(c *Config) { c.Incarnation = mine })
	defer h.Abandon()
	h.apply(&metadata.RegisterBrokerRecord{Node: 1, Epoch: 1, Incarnation: topicID("the process before")})
	h.topic("t", 1)
	p := h.part("t", 0)
	if _, err := write(t, p, AllReplicas, "x"); !errors.Is(err, kerr.NotLeaderForPartition) {
		t.Fatalf("led as the process before: %v", err)
	}
	h.apply(&metadata.RegisterBrokerRecord{Node: 1, Epoch: 2, Incarnation: mine})
	mustWrite(t, p, "x")
	if r := p.Role(); !r.Leads || r.Leader != 1 {
		t.Errorf("%+v", r)
	}
	h.apply(&metadata.RegisterBrokerRecord{Node: 1, Epoch: 3, Incarnation: topicID("another process")})
	if _, err := write(t, p, AllReplicas, "y"); !errors.Is(err, kerr.NotLeaderForPartition) {
		t.Fatalf("led on although another process has the id: %v", err)
	}
}

func TestTheSetListsWhatItLeadsAndFollows(t *testing.T) {
	h := newHost(t, vfs.NewMem(), nil)
	defer h.Abandon()
	h.topic("t", 4)
	for n, leader := range []kafka.NodeID{1, 2, kafka.NoNode, 1} {
		rec := partitionRecord("t", int32(n))
		rec.Replicas, rec.Leader, rec.LeaderEpoch = []kafka.NodeID{1, 2}, leader, 1
		h.apply(rec)
	}
	var led, following []int32
	for p := range h.Led() {
		led = append(led, p.Name().Partition)
	}
	for p := range h.Following() {
		following = append(following, p.Name().Partition)
	}
	if len(led) != 2 || led[0] != 0 || led[1] != 3 || len(following) != 1 || following[0] != 1 {
		t.Errorf("leads %v, follows %v", led, following)
	}
}

// TestADamagedBatchIsNotSentAgain has the leader's disk damaged under a batch, which only the follower notices at first.
func TestADamagedBatchIsNotSentAgain(t *testing.T) {
	disk := vfs.NewMem()
	r := newPair(t, disk, vfs.NewMem())
	defer r.abandon()
	put(t, r.node(1), "one")
	settle(t, r.node(1))
	f, err := disk.OpenFile("/data/t-0/00000000000000000000.log", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, 65); err != nil {
		t.Fatal(err)
	}
	s := r.state(2)
	_, sent := r.ask(2, s)
	if err := r.node(2).AppendFetched(time.Now(), s.Epoch, sent); !errors.Is(err, kerr.CorruptMessage) {
		t.Fatalf("appended: %v", err)
	}
	_, err = r.node(1).FetchAsReplica(time.Now(), FollowerFetch{Replica: 2, BrokerEpoch: 102, LastEpoch: -1, MaxBytes: 1 << 20})
	if !errors.Is(err, kerr.KafkaStorageError) {
		t.Fatalf("sent again: %v", err)
	}
}

func TestALeaderWhoseDiskFailedTellsItsFollowersNothing(t *testing.T) {
	r := newPair(t, vfs.NewMem(), vfs.NewMem())
	defer r.abandon()
	put(t, r.node(1), "one")
	r.sync(2)
	r.hosts[0].dirs[0].fail(errors.New("the disk is on fire"))
	_, err := r.node(1).FetchAsReplica(time.Now(), FollowerFetch{Replica: 2, BrokerEpoch: 102, Offset: 1, LastEpoch: 7, MaxBytes: 1 << 20})
	if !errors.Is(err, kerr.KafkaStorageError) {
		t.Fatal(err)
	}
}

// A node may hear of several changes at once, when it was behind. The least number of in-sync replicas that an ISR was made with
// comes with it: by the number of before, records would be committed that the eligible replicas do not have.
func TestAnISRCountsByTheMinimumThatCameWithIt(t *testing.T) {
	one, two := "1", "2"
	r := newPair(t, vfs.NewMem(), vfs.NewMem(), "min.insync.replicas", one)
	defer r.abandon()
	leader := r.node(1)
	a, epoch := put(t, leader, "one")
	settle(t, leader)
	r.given.ISR, r.given.ELR = []kafka.NodeID{1}, []kafka.NodeID{2}
	r.given.PartitionEpoch++
	given := r.given
	r.hosts[0].apply(configRecord("t", "min.insync.replicas", &two), &given)
	if acked, err := leader.Acked(AllReplicas, epoch, a.Last+1); acked || err != nil || leader.HighWatermark() != 0 {
		t.Fatalf("committed up to %d without the replica that may lead next: %v %v", leader.HighWatermark(), acked, err)
	}
}

// The other way round, a leader that was replaced before the number was lowered must not take it for its own.
func TestALowerMinimumDoesNotCountForALeadershipThatEndedBefore(t *testing.T) {
	one := "1"
	r := newPair(t, vfs.NewMem(), vfs.NewMem(), "min.insync.replicas", "2")
	defer r.abandon()
	leader := r.node(1)
	a, epoch := put(t, leader, "one")
	settle(t, leader)
	r.change(func(g *metadata.PartitionRecord) { g.ISR, g.ELR = []kafka.NodeID{1}, []kafka.NodeID{2} })
	r.given.Leader, r.given.LeaderEpoch = 2, r.given.LeaderEpoch+1
	r.given.ISR, r.given.ELR = []kafka.NodeID{2}, nil
	r.given.PartitionEpoch++
	given := r.given
	r.hosts[0].apply(&given, configRecord("t", "min.insync.replicas", &one))
	if acked, _ := leader.Acked(AllReplicas, epoch, a.Last+1); acked || leader.HighWatermark() != 0 {
		t.Fatalf("committed up to %d by a leader of before", leader.HighWatermark())
	}
}

// A topic that is to be flushed from now on counts as one after a power cut, with all that was acknowledged before.
func TestWhatIsNotFlushedIsFlushedWhenTheTopicAsksForIt(t *testing.T) {
	flush := "flush"
	r := newPair(t, vfs.NewMem(), vfs.NewMem(), "durability", "os")
	defer r.abandon()
	put(t, r.node(1), "one")
	r.sync(2)
	for i, h := range r.hosts {
		h.apply(configRecord("t", "durability", &flush))
		p := h.part("t", 0)
		settle(t, p)
		if log := p.openLog(); log.Flushed() < log.End() {
			t.Errorf("node %d: flushed up to %d of %d", i+1, log.Flushed(), log.End())
		}
	}
}
