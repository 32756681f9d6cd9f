package api

import (
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

func sessionFetch(req *kmsg.FetchRequest, id, epoch int32) *kmsg.FetchRequest {
	req.SessionID, req.SessionEpoch = id, epoch
	return req
}

func nothing() *kmsg.FetchRequest {
	req := fetchOf("", kafka.TopicID{})
	req.Topics = nil
	return req
}

func TestSessionAnswersOnlyWhatIsNew(t *testing.T) {
	for _, version := range []int16{7, 12, 13, 18} {
		w := newWorld(t)
		id := w.topic("t", 3, nil)
		w.produce("t", 1, "a")
		full := ask[*kmsg.FetchResponse](w, sessionFetch(fetchOf("t", id, 0, 1, 0), 0, 0), version)
		if full.SessionID == 0 {
			t.Fatal("no session begun")
		}
		wantShown(t, full, "0 code=0 hw=0 start=0 []", "1 code=0 hw=1 start=0 []", "2 code=0 hw=0 start=0 []")
		s := full.SessionID

		wantShown(t, ask[*kmsg.FetchResponse](w, sessionFetch(nothing(), s, 1), version))
		w.produce("t", 2, "b")
		wantShown(t, ask[*kmsg.FetchResponse](w, sessionFetch(nothing(), s, 2), version), "2 code=0 hw=1 start=0 [b]")
		moved := fetchOf("t", id, 0, 0, 1)
		moved.Topics[0].Partitions = moved.Topics[0].Partitions[1:]
		wantShown(t, ask[*kmsg.FetchResponse](w, sessionFetch(moved, s, 3), version), "1 code=0 hw=1 start=0 [a]")

		forget := nothing()
		f := kmsg.NewFetchRequestForgottenTopic()
		f.Topic, f.TopicID, f.Partitions = "t", id, []int32{1}
		forget.ForgottenTopics = append(forget.ForgottenTopics, f)
		w.produce("t", 0, "c")
		wantShown(t, ask[*kmsg.FetchResponse](w, sessionFetch(forget, s, 4), version), "0 code=0 hw=1 start=0 [c]")
		all := nothing()
		f.Partitions = []int32{0, 2}
		all.ForgottenTopics = append(all.ForgottenTopics, f)
		last := ask[*kmsg.FetchResponse](w, sessionFetch(all, s, 5), version)
		if last.SessionID != 0 || len(last.Topics) != 0 || len(w.srv.sessions.ids()) != 0 {
			t.Fatalf("empty session goes on: %+v", last)
		}
	}
}

func TestPartitionsTakeTurnsWithinASession(t *testing.T) {
	w := newWorld(t)
	id := w.topic("t", 2, nil)
	w.produce("t", 0, "a")
	w.produce("t", 0, "b")
	w.produce("t", 1, "x")
	first := fetchOf("t", id, 0, 0)
	first.MaxBytes = 1
	full := ask[*kmsg.FetchResponse](w, sessionFetch(first, 0, 0), 12)
	wantShown(t, full, "0 code=0 hw=2 start=0 [a]", "1 code=0 hw=1 start=0 []")
	next := fetchOf("t", id, 1)
	next.MaxBytes = 1
	wantShown(t, ask[*kmsg.FetchResponse](w, sessionFetch(next, full.SessionID, 1), 12), "0 code=0 hw=2 start=0 [b]")
	next = nothing()
	next.MaxBytes = 1
	wantShown(t, ask[*kmsg.FetchResponse](w, sessionFetch(next, full.SessionID, 2), 12), "1 code=0 hw=1 start=0 [x]")
}

func TestSessionErrors(t *testing.T) {
	w := newWorld(t)
	id := w.topic("t", 1, nil)
	begin := func(version int16) int32 {
		return ask[*kmsg.FetchResponse](w, sessionFetch(fetchOf("t", id, 0), 0, 0), version).SessionID
	}
	code := func(req *kmsg.FetchRequest, version int16) int16 {
		resp := ask[*kmsg.FetchResponse](w, req, version)
		if resp.SessionID != 0 {
			t.Errorf("error with session id %d", resp.SessionID)
		}
		return resp.ErrorCode
	}
	s := begin(12)
	if got := code(sessionFetch(nothing(), s+1, 1), 12); got != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("unknown session: %d", got)
	}
	if got := code(sessionFetch(nothing(), s, 5), 12); got != kerr.InvalidFetchSessionEpoch.Code {
		t.Errorf("wrong epoch: %d", got)
	}
	if got := code(sessionFetch(nothing(), s, 1), 13); got != kerr.FetchSessionTopicIDError.Code {
		t.Errorf("names to ids: %d", got)
	}
	if got := code(sessionFetch(nothing(), begin(13), 1), 12); got != kerr.FetchSessionTopicIDError.Code {
		t.Errorf("ids to names: %d", got)
	}
	ask[*kmsg.FetchResponse](w, sessionFetch(fetchOf("t", id, 0), s, -1), 12)
	if got := code(sessionFetch(nothing(), s, 1), 12); got != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("closed session: %d", got)
	}
}

func TestErrorInASessionIsToldUntilItEnds(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	req := fetchOf("later", kafka.TopicID{}, 0)
	full := ask[*kmsg.FetchResponse](w, sessionFetch(req, 0, 0), 12)
	wantShown(t, full, "0 code=3 hw=-1 start=-1 []")
	wantShown(t, ask[*kmsg.FetchResponse](w, sessionFetch(nothing(), full.SessionID, 1), 12), "0 code=3 hw=-1 start=-1 []")
	w.topic("later", 1, nil)
	wantShown(t, ask[*kmsg.FetchResponse](w, sessionFetch(nothing(), full.SessionID, 2), 12), "0 code=0 hw=0 start=0 []")
	wantShown(t, ask[*kmsg.FetchResponse](w, sessionFetch(nothing(), full.SessionID, 3), 12))
}

func TestSessionsAreEvicted(t *testing.T) {
	fs := newFetchSessions(2)
	now := time.Unix(1000, 0)
	results := func(n int) []fetchResult {
		rs := make([]fetchResult, n)
		for i := range rs {
			rs[i].want.key.partition = int32(i)
		}
		return rs
	}
	small, large := fs.create(results(1), false, now), fs.create(results(5), false, now)
	if id := fs.create(results(9), false, now.Add(evictAfter)); id != noSession {
		t.Fatal("a session was evicted before its time")
	}
	// Both were used lately: only a larger session may take the place of the smallest.
	fs.touch(fs.find(small), 1, now.Add(evictAfter))
	fs.touch(fs.find(large), 5, now.Add(evictAfter))
	if id := fs.create(results(1), false, now.Add(evictAfter+time.Second)); id != noSession {
		t.Fatal("a session no larger evicted another")
	}
	if id := fs.create(results(3), false, now.Add(evictAfter+time.Second)); id == noSession || fs.find(small) != nil || fs.find(large) == nil {
		t.Fatal("the smallest did not make room for a larger one")
	}
	// Long unused: whoever comes may take the place.
	if id := fs.create(results(1), false, now.Add(3*evictAfter)); id == noSession || fs.find(large) != nil {
		t.Fatal("an unused session was kept")
	}
}

func TestSessionEpochWraps(t *testing.T) {
	for e, want := range map[int32]int32{1: 2, math.MaxInt32: 1, 0: 1} {
		if got := nextEpoch(e); got != want {
			t.Errorf("after %d comes %d, want %d", e, got, want)
		}
	}
}
