package coord_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/coord"
	"github.com/headrace/headrace/internal/node/groups"
)

// inBubble runs f with a Runtime that leads partition 0, the only one, on a log of its own.
func inBubble(t *testing.T, f func(t *testing.T, r *groups.Groups, l *memLog)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRuntime(1)
		l := &memLog{}
		r.Lead(0, l, 1)
		synctest.Wait()
		f(t, r, l)
		r.Close()
	})
}

func newRuntime(partitions int32) *groups.Groups {
	return groups.New(groups.Config{Partitions: partitions, Group: group.DefaultConfig(nil), Image: metadata.New("c"), Rand: rand.New(rand.NewPCG(1, 2))})
}

func submit(t *testing.T, r *groups.Groups, group string, req kmsg.Request) kmsg.Response {
	t.Helper()
	resp, err := r.Submit(t.Context(), group, coord.ClientInfo{ID: "c", Host: "/127.0.0.1"}, req)
	if err != nil {
		t.Error(err)
		return req.ResponseKind()
	}
	if resp.GetVersion() != req.GetVersion() {
		t.Errorf("response of version %d to a request of version %d", resp.GetVersion(), req.GetVersion())
	}
	return resp
}

func commit(t *testing.T, r *groups.Groups, group string, partition int32, offset int64) error {
	t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = 9
	req.Group, req.Generation = group, -1
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: partition, Offset: offset, LeaderEpoch: -1}}}}
	return kerr.ErrorForCode(submit(t, r, group, req).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
}

func fetch(t *testing.T, r *groups.Groups, group string, partition int32, stable bool) (int64, error) {
	t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = 9
	req.RequireStable = stable
	req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: group, MemberEpoch: -1, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{partition}}}}}
	g := submit(t, r, group, req).(*kmsg.OffsetFetchResponse).Groups[0]
	if g.ErrorCode != 0 {
		return -1, kerr.ErrorForCode(g.ErrorCode)
	}
	return g.Topics[0].Partitions[0].Offset, nil
}

func join(t *testing.T, r *groups.Groups, group, id string) *kmsg.JoinGroupResponse {
	t.Helper()
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version = 3
	req.Group, req.MemberID, req.ProtocolType = group, id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 60_000
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}}}
	return submit(t, r, group, req).(*kmsg.JoinGroupResponse)
}

func sync1(t *testing.T, r *groups.Groups, group string, j *kmsg.JoinGroupResponse) *kmsg.SyncGroupResponse {
	t.Helper()
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version = 4
	req.Group, req.MemberID, req.Generation = group, j.MemberID, j.Generation
	for _, m := range j.Members {
		req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: m.MemberID, MemberAssignment: []byte("for " + m.MemberID)})
	}
	return submit(t, r, group, req).(*kmsg.SyncGroupResponse)
}

func beat(t *testing.T, r *groups.Groups, group string, j *kmsg.JoinGroupResponse) error {
	t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version = 4
	req.Group, req.MemberID, req.Generation = group, j.MemberID, j.Generation
	return kerr.ErrorForCode(submit(t, r, group, req).(*kmsg.HeartbeatResponse).ErrorCode)
}

func describe(t *testing.T, r *groups.Groups, group string) string {
	t.Helper()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version = 6
	req.Groups = []string{group}
	return submit(t, r, group, req).(*kmsg.DescribeGroupsResponse).Groups[0].State
}

func wantErr(t *testing.T, what string, got error, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestGroupLivesAndItsMemberExpires(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		l.delay = 20 * time.Millisecond
		began := time.Now()
		j := join(t, r, "g", "")
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("the first join took %v, not the initial delay", took)
		}
		began = time.Now()
		s := sync1(t, r, "g", j)
		if string(s.MemberAssignment) != "for "+j.MemberID {
			t.Errorf("assignment %q, error %d", s.MemberAssignment, s.ErrorCode)
		}
		if took := time.Since(began); took != l.delay {
			t.Errorf("sync was answered after %v, the assignment is committed after %v", took, l.delay)
		}
		for range 5 {
			time.Sleep(9 * time.Second)
			wantErr(t, "heartbeat", beat(t, r, "g", j), nil)
		}
		time.Sleep(9 * time.Second)
		if st := describe(t, r, "g"); st != "Stable" {
			t.Errorf("after heartbeats: %s", st)
		}
		time.Sleep(2 * time.Second)
		if st := describe(t, r, "g"); st != "Empty" {
			t.Errorf("after the session: %s", st)
		}
	})
}

func TestCommitIsAnsweredAndReadWhenItIsCommitted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		l.held = true
		done := make(chan error, 1)
		go func() { done <- commit(t, r, "g", 0, 5) }()
		synctest.Wait()
		if off, _ := fetch(t, r, "g", 0, false); off != -1 {
			t.Errorf("an uncommitted offset was read: %d", off)
		}
		stable := make(chan int64, 1)
		go func() {
			off, _ := fetch(t, r, "g", 0, true)
			stable <- off
		}()
		synctest.Wait()
		if len(done)+len(stable) != 0 {
			t.Error("answered before the high watermark")
		}
		l.raise(1)
		synctest.Wait()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if off := <-stable; off != 5 {
			t.Errorf("stable read: %d", off)
		}
		if off, _ := fetch(t, r, "g", 0, false); off != 5 {
			t.Errorf("read %d", off)
		}
	})
}

func TestFailedAppendTakesStateBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		wantErr(t, "commit", commit(t, r, "g", 0, 5), nil)
		for _, c := range []struct{ append, told error }{
			{kerr.NotEnoughReplicas, kerr.CoordinatorNotAvailable},
			{errors.New("disk"), kerr.CoordinatorNotAvailable},
			{kerr.NotLeaderForPartition, kerr.NotCoordinator},
			{kerr.KafkaStorageError, kerr.NotCoordinator},
		} {
			l.fail = c.append
			wantErr(t, "commit", commit(t, r, "g", 0, 6), c.told)
			wantErr(t, "commit of a new group", commit(t, r, "h", 0, 6), c.told)
		}
		j := join(t, r, "i", "")
		wantErr(t, "join", kerr.ErrorForCode(j.ErrorCode), kerr.NotCoordinator)
		l.fail = nil
		for _, stable := range []bool{false, true} {
			if off, err := fetch(t, r, "g", 0, stable); off != 5 || err != nil {
				t.Errorf("after failed appends (stable %v): %d, %v", stable, off, err)
			}
		}
		list, err := r.ListGroups(t.Context(), kmsg.NewPtrListGroupsRequest())
		if err != nil || len(list.Groups) != 1 || list.Groups[0].Group != "g" {
			t.Errorf("%v, %v", list, err)
		}
		wantErr(t, "commit", commit(t, r, "g", 0, 7), nil)
	})
}

func TestEventsThatWaitShareAnAppend(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		l.writing = time.Millisecond
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { wantErr(t, "commit", commit(t, r, fmt.Sprint("g", i), 0, int64(i)), nil) })
		}
		wg.Wait()
		if len(l.batches) > 3 {
			t.Errorf("%d appends for 100 commits at once", len(l.batches))
		}
		for i := range 100 {
			if off, err := fetch(t, r, fmt.Sprint("g", i), 0, false); off != int64(i) || err != nil {
				t.Errorf("group %d: %d, %v", i, off, err)
			}
		}
	})
}

func TestWriteThatIsNotCommittedInTimeIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		l.held = true
		began := time.Now()
		wantErr(t, "commit", commit(t, r, "g", 0, 5), kerr.CoordinatorNotAvailable)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("refused after %v", took)
		}
		l.raise(1) // late, but not lost
		if off, err := fetch(t, r, "g", 0, false); off != 5 || err != nil {
			t.Errorf("%d, %v", off, err)
		}
	})
}

func TestResignAndCloseEndAllWaits(t *testing.T) {
	for _, how := range []string{"resign", "close", "lost"} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
				l.held = true
				var wg sync.WaitGroup
				wg.Go(func() {
					wantErr(t, "join", kerr.ErrorForCode(join(t, r, "g", "").ErrorCode), kerr.NotCoordinator)
				})
				wg.Go(func() { wantErr(t, "commit", commit(t, r, "h", 0, 1), kerr.NotCoordinator) })
				synctest.Wait()
				switch how {
				case "resign":
					r.Resign(0)
				case "close":
					r.Close()
				case "lost":
					l.lose()
				}
				wg.Wait()
				wantErr(t, "later commit", commit(t, r, "h", 0, 1), kerr.NotCoordinator)
				wantErr(t, "later heartbeat", beat(t, r, "g", kmsg.NewPtrJoinGroupResponse()), kerr.NotCoordinator)
			})
		})
	}
}

func TestLeadLoadsWhatTheLogHolds(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		j := join(t, r, "g", "")
		sync1(t, r, "g", j)
		for i := range int32(300) {
			wantErr(t, "commit", commit(t, r, "h", i, int64(i)), nil)
		}
		r.Resign(0)
		l.readWait = time.Second
		r.Lead(0, l, 2)
		r.Lead(0, l, 1) // late news
		synctest.Wait()
		if !r.Loading() {
			t.Error("not loading")
		}
		wantErr(t, "commit", commit(t, r, "g", 0, 1), kerr.CoordinatorLoadInProgress)
		wantErr(t, "heartbeat while loading", beat(t, r, "g", j), nil)
		list, err := r.ListGroups(t.Context(), kmsg.NewPtrListGroupsRequest())
		if err != nil || list.ErrorCode != kerr.CoordinatorLoadInProgress.Code {
			t.Errorf("list while loading: %v, %v", list, err)
		}
		r.TopicsGone([]group.DeletedTopic{{Name: "other"}}) // waits for the load
		time.Sleep(3 * time.Second)
		wantErr(t, "heartbeat", beat(t, r, "g", j), nil)
		if off, err := fetch(t, r, "h", 299, false); off != 299 || err != nil {
			t.Errorf("%d, %v", off, err)
		}
		time.Sleep(11 * time.Second)
		if st := describe(t, r, "g"); st != "Empty" {
			t.Errorf("the session of a loaded member did not end: %s", st)
		}
	})
}

// The topic may be deleted, and made anew by who asks for a coordinator next: its leader epochs begin anew.
func TestALogMadeAnewIsCoordinated(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		r.Lead(0, l, 7)
		synctest.Wait()
		wantErr(t, "commit", commit(t, r, "g", 0, 5), nil)
		r.Resign(0)
		r.Lead(0, &memLog{}, 0)
		synctest.Wait()
		wantErr(t, "commit", commit(t, r, "g", 1, 1), nil)
		if off, err := fetch(t, r, "g", 0, false); off != -1 || err != nil {
			t.Errorf("an offset of the topic before: %d, %v", off, err)
		}
	})
}

func TestLogThatCannotBeReadIsNotCoordinated(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		b := batch.NewBuilder(batch.BuilderConfig{})
		b.Append(1, []byte{0, 2, 0}, nil, nil)
		bad := &memLog{}
		if _, err := bad.Append(time.Now(), 1, b.Finish()); err != nil {
			t.Fatal(err)
		}
		r.Lead(0, bad, 2)
		synctest.Wait()
		wantErr(t, "commit", commit(t, r, "g", 0, 1), kerr.NotCoordinator)
	})
}

func TestOffsetsOfDeletedTopicsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		r.Limit(500, 0) // so that the tombstones take several batches
		for i := range int32(50) {
			wantErr(t, "commit", commit(t, r, "g", i, int64(i)), nil)
		}
		before := len(l.batches)
		r.TopicsGone([]group.DeletedTopic{{Name: "t"}, {Name: "u"}})
		synctest.Wait()
		for i := range int32(50) {
			if off, err := fetch(t, r, "g", i, false); off != -1 || err != nil {
				t.Errorf("partition %d: %d, %v", i, off, err)
			}
		}
		if n := len(l.batches) - before; n < 3 {
			t.Errorf("%d batches for 50 tombstones of at most 500 bytes", n)
		}
		for _, b := range l.batches {
			if len(b) > 500 {
				t.Errorf("a batch of %d bytes", len(b))
			}
		}
	})
}

func TestRecordThatIsTooLargeIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		r.Limit(200, 0)
		wantErr(t, "commit", commit(t, r, "g"+strings.Repeat("x", 200), 0, 1), kerr.UnknownServerError)
		wantErr(t, "commit", commit(t, r, "g", 0, 1), nil)
		if off, err := fetch(t, r, "g", 0, true); off != 1 || err != nil {
			t.Errorf("%d, %v", off, err)
		}
	})
}

func TestForeignAppendMakesTheShardLoadAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		wantErr(t, "commit", commit(t, r, "g", 0, 1), nil)
		b := batch.NewBuilder(batch.BuilderConfig{})
		b.Append(1, []byte{0, 99}, nil, nil)
		if _, err := l.Append(time.Now(), 1, b.Finish()); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "commit", commit(t, r, "g", 0, 2), kerr.NotCoordinator)
		synctest.Wait()
		if off, err := fetch(t, r, "g", 0, false); off != 2 || err != nil {
			t.Errorf("%d, %v: the batch was appended after all", off, err)
		}
		wantErr(t, "commit", commit(t, r, "g", 0, 3), nil)
	})
}

func TestClientThatIsGoneLeavesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		l.held = true
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
			req := kmsg.NewPtrJoinGroupRequest()
			req.Version = 3
			req.Group, req.ProtocolType, req.SessionTimeoutMillis = "g", "consumer", 10_000
			req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
			if _, err := r.Submit(ctx, "g", coord.ClientInfo{}, req); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
			if _, err := r.Submit(ctx, "g", coord.ClientInfo{}, req); err == nil {
				t.Error("a request of a client that is gone was taken")
			}
		}
		if n := r.Calls(0); n != 0 {
			t.Errorf("%d calls are kept", n)
		}
	})
}

func TestIdleShardsHaveNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRuntime(50)
		for p := range int32(50) {
			r.Lead(p, &memLog{}, 1)
		}
		synctest.Wait()
		for i := range 20 {
			wantErr(t, "commit", commit(t, r, fmt.Sprint("g", i), 0, 1), nil)
		}
		synctest.Wait()
		for p := range int32(50) {
			if err := r.Idle(p); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(8 * 24 * time.Hour) // the retention
		list, err := r.ListGroups(t.Context(), kmsg.NewPtrListGroupsRequest())
		if err != nil || len(list.Groups) != 0 {
			t.Errorf("after the retention: %v, %v", list, err)
		}
		r.Close()
	})
}

func TestFullInboxTellsClientsToComeBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		r.Limit(0, 10)
		l.writing = time.Second
		var wg sync.WaitGroup
		var mu sync.Mutex
		refused := 0
		for i := range 30 {
			wg.Go(func() {
				if err := commit(t, r, fmt.Sprint("g", i), 0, 1); errors.Is(err, kerr.CoordinatorLoadInProgress) {
					mu.Lock()
					refused++
					mu.Unlock()
				}
			})
			if i == 0 {
				synctest.Wait() // the shard is busy with the first
			}
		}
		wg.Wait()
		if refused != 19 {
			t.Errorf("%d of 30 refused, with room for 10 and one under way", refused)
		}
	})
}

func TestRandomFaultsLoseNoAcknowledgedOffset(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 5))
			r := newRuntime(1)
			l := &memLog{delay: 2 * time.Millisecond}
			r.Lead(0, l, 1)
			acked := make([]int64, 4)
			var wg sync.WaitGroup
			for p := range acked {
				mine := rand.New(rand.NewPCG(seed, uint64(p)))
				wg.Go(func() {
					for i := range int64(200) {
						if commit(t, r, "g", int32(p), i) == nil {
							acked[p] = i
						}
						time.Sleep(time.Duration(mine.IntN(5)) * time.Millisecond)
					}
				})
			}
			for epoch := kafka.LeaderEpoch(2); epoch < 40; epoch++ {
				time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
				l.mu.Lock()
				l.fail = nil
				if rng.IntN(3) == 0 {
					l.fail = kerr.NotEnoughReplicas
				}
				l.mu.Unlock()
				if rng.IntN(4) == 0 {
					r.Resign(0)
					r.Lead(0, l, epoch)
				}
			}
			l.mu.Lock()
			l.fail = nil
			l.mu.Unlock()
			wg.Wait()
			r.Resign(0)
			r.Lead(0, l, 100)
			synctest.Wait()
			for p := range acked {
				if off, err := fetch(t, r, "g", int32(p), true); off < acked[p] || err != nil {
					t.Errorf("seed %d: partition %d is at %d (%v), %d was acknowledged", seed, p, off, err, acked[p])
				}
			}
			r.Close()
		})
	}
}
