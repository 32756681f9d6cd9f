package quorum

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
)

// voters are three Quorums in one process, each on a disk of its own, with a network that loses messages and can be cut.
// It lives in a synctest bubble, so that elections take no time.
type voters struct {
	t    *testing.T
	mu   sync.Mutex // guards what follows
	node [3]*Quorum
	disk [3]*vfs.Mem
	cut  [3]bool
	loss float64
	rng  *rand.Rand

	snapshotBytes int64
}

func startVoters(t *testing.T, seed uint64, snapshotBytes int64) *voters {
	v := &voters{t: t, rng: rand.New(rand.NewPCG(seed, 9)), snapshotBytes: snapshotBytes}
	for i := range v.node {
		v.disk[i] = vfs.NewMem()
		v.start(i)
	}
	return v
}

func (v *voters) start(i int) {
	log, err := openCommitLog(v.disk[i], testDir)
	if err != nil {
		v.t.Fatal(err)
	}
	cfg := testConfig(v.t, v.disk[i], log)
	cfg.NodeID, cfg.Voters = kafka.NodeID(i), []kafka.NodeID{0, 1, 2}
	cfg.SnapshotBytes = v.snapshotBytes
	v.mu.Lock()
	cfg.Rand = rand.New(rand.NewPCG(v.rng.Uint64(), 1))
	v.mu.Unlock()
	cfg.Send = func(messages []*raftpb.Message) {
		for _, m := range messages {
			v.carry(i, m)
		}
	}
	q, err := Start(cfg)
	if err != nil {
		v.t.Fatalf("node %d: %v", i, err)
	}
	v.mu.Lock()
	v.node[i] = q
	v.mu.Unlock()
}

func (v *voters) carry(from int, m *raftpb.Message) {
	v.mu.Lock()
	defer v.mu.Unlock()
	to := int(nodeID(m.GetTo()))
	if v.cut[from] || v.cut[to] || v.node[from] == nil || v.node[to] == nil || v.rng.Float64() < v.loss {
		return
	}
	v.node[to].Receive(proto.Clone(m).(*raftpb.Message))
}

// crash ends a node as a power cut does and keeps its disk.
func (v *voters) crash(i int) {
	v.mu.Lock()
	q := v.node[i]
	v.node[i] = nil // what it does from here on reaches neither the others nor the disk that is kept
	torn := rand.New(rand.NewPCG(v.rng.Uint64(), 2))
	v.mu.Unlock()
	after := v.disk[i].CrashClone(torn)
	q.Close()
	v.disk[i] = after
}

func (v *voters) setCut(i int, cut bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cut[i] = cut
}

func (v *voters) setLoss(p float64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.loss = p
}

func (v *voters) stop() {
	for _, q := range v.node {
		if q == nil {
			continue
		}
		if err := q.Close(); err != nil {
			v.t.Error(err)
		}
	}
}

// eventually waits up to a minute of the bubble's time.
func (v *voters) eventually(what string, ok func() bool) {
	v.t.Helper()
	for range 600 {
		synctest.Wait()
		if ok() {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	for i, q := range v.node {
		if q != nil {
			v.t.Logf("node %d: %+v, %v", i, q.Status(), q.Err())
		}
	}
	v.t.Fatalf("never: %s", what)
}

// submit asks whoever leads, again and again, until it is answered.
func (v *voters) submit(req any) any {
	v.t.Helper()
	var reply any
	v.eventually(fmt.Sprintf("an answer to %T", req), func() bool {
		for i, q := range v.node {
			if q == nil || q.Status().Leader != kafka.NodeID(i) {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			r, err := q.Submit(ctx, req)
			cancel()
			if err == nil {
				reply = r
				return true
			}
			if !errors.Is(err, kerr.NotController) && !errors.Is(err, context.DeadlineExceeded) {
				v.t.Fatalf("node %d: %v", i, err)
			}
		}
		return false
	})
	return reply
}

func (v *voters) leader() int {
	l := -1
	v.eventually("one leader", func() bool {
		for i, q := range v.node {
			if q != nil && !v.cut[i] && q.Status().Leader == kafka.NodeID(i) {
				l = i
				return true
			}
		}
		return false
	})
	return l
}

func (v *voters) agree() {
	v.t.Helper()
	v.eventually("the same Image on all", func() bool {
		for _, q := range v.node {
			if !q.Image().Equal(v.node[0].Image()) || q.Image().Offset() < 0 {
				return false
			}
		}
		return true
	})
}

func TestThreeVotersElectAgreeAndOutliveTheirLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := startVoters(t, 1, 1<<20)
		defer v.stop()
		v.submit(unfencing(v.submit(registration())))
		v.submit(createTopics("a"))
		v.agree()

		old := v.leader()
		v.setCut(old, true)
		// What the cut leader takes now is never committed: its caller learns that, the topic is nowhere.
		late := make(chan error, 1)
		go func() {
			_, err := v.node[old].Submit(context.Background(), createTopics("late"))
			late <- err
		}()
		v.eventually("another leader", func() bool {
			for i, q := range v.node {
				if i != old && q.Status().Leader == kafka.NodeID(i) {
					return true
				}
			}
			return false
		})
		v.submit(createTopics("b"))
		if err := <-late; !errors.Is(err, kerr.NotController) {
			t.Errorf("submit to the cut leader: %v", err)
		}
		v.setCut(old, false)
		v.agree()
		img := v.node[old].Image()
		if _, ok := img.Topic("late"); ok {
			t.Error("a topic that was never committed is there")
		}
		if _, ok := img.Topic("b"); !ok {
			t.Error("a committed topic is missing on the old leader")
		}
		if err := kerr.ErrorForCode(v.submit(createTopics("late")).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode); err != nil {
			t.Error(err)
		}
	})
}

func TestVoterThatFellBehindGetsASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := startVoters(t, 2, 20000)
		defer v.stop()
		node := v.submit(registration())
		v.submit(unfencing(node))
		behind := (v.leader() + 1) % 3
		v.setCut(behind, true)
		for range trailingEntries + 500 {
			v.submit(allocateProducerIDs(unfencing(node).Epoch))
		}
		v.submit(createTopics("a"))
		v.setCut(behind, false)
		v.agree()
		st, _, err := loadState(v.disk[behind], testDir)
		if err != nil || st.Raft.Snapshot.Index < trailingEntries/2 {
			t.Errorf("the voter behind has snapshot %+v (%v)", st.Raft.Snapshot, err)
		}
		v.crash(behind)
		v.start(behind)
		v.submit(createTopics("b"))
		v.agree()
	})
}

// TestVotersKeepWhatIsAcknowledgedThroughCrashesAndCuts is a random walk: requests, crashes of any node, cuts, losses. At
// the end all agree, and nothing acknowledged is missing.
func TestVotersKeepWhatIsAcknowledgedThroughCrashesAndCuts(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { walkVoters(t, seed) })
		})
	}
}

func walkVoters(t *testing.T, seed uint64) {
	v := startVoters(t, seed, 4000)
	defer v.stop()
	rng := rand.New(rand.NewPCG(seed, 77))
	v.submit(unfencing(v.submit(registration())))
	down := -1 // at most one node is down or cut at a time: two are a majority
	var acked []string
	for i := range 60 {
		switch n := rng.IntN(10); {
		case n == 0 && down < 0:
			down = rng.IntN(3)
			v.setCut(down, true)
		case n == 1 && down < 0:
			i := rng.IntN(3)
			v.crash(i)
			v.start(i)
		case n == 2 && down >= 0:
			v.setCut(down, false)
			down = -1
		case n == 3:
			v.setLoss(float64(rng.IntN(3)) / 10)
		default:
			name := fmt.Sprintf("t%d", i)
			r := v.submit(createTopics(name)).(*kmsg.CreateTopicsResponse).Topics[0]
			// A repetition of a request whose first answer was lost finds its own topic.
			if r.ErrorCode != 0 && r.ErrorCode != kerr.TopicAlreadyExists.Code {
				t.Fatalf("code %d", r.ErrorCode)
			}
			acked = append(acked, name)
		}
	}
	if down >= 0 {
		v.setCut(down, false)
	}
	v.setLoss(0)
	v.agree()
	for _, name := range acked {
		topic, ok := v.node[0].Image().Topic(name)
		if !ok || len(topic.Partitions) != 3 || len(v.node[0].Image().Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: name})) != 1 {
			t.Errorf("acknowledged %s is missing or incomplete", name)
		}
	}
}
