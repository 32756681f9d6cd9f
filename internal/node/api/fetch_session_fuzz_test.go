package api

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// FuzzFetchSession plays a client's requests, one every four bytes: the session's epoch, the topic and partition that are named or
// forgotten, and by what name. Whatever they are, a session names each partition once and has no epoch without a meaning.
func FuzzFetchSession(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 1, 2, 1, 0, 2, 1, 2, 1, 0xff, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 1, 1, 0, 2, 1, 5, 1, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		sessions, id, now := newFetchSessions(2), int32(0), time.Unix(0, 0)
		for ; len(b) >= 4 && len(b) < 400; b = b[4:] {
			req := kmsg.NewPtrFetchRequest()
			req.SessionID, req.SessionEpoch = id, int32(int8(b[0]))
			named := kmsg.NewFetchRequestTopic()
			forgotten := kmsg.NewFetchRequestForgottenTopic()
			named.Topic, named.TopicID = string(rune('a'+b[1]%3)), kafka.TopicID{b[1] % 3}
			forgotten.Topic, forgotten.TopicID = string(rune('a'+b[2]%3)), kafka.TopicID{b[2] % 3}
			for i := range int32(b[1] >> 6) {
				p := kmsg.NewFetchRequestTopicPartition()
				p.Partition = i * int32(b[3]&1)
				named.Partitions = append(named.Partitions, p)
			}
			for i := range int32(b[2] >> 6) {
				forgotten.Partitions = append(forgotten.Partitions, i)
			}
			req.Topics, req.ForgottenTopics = append(req.Topics, named), append(req.ForgottenTopics, forgotten)
			id = playFetch(t, sessions, req, b[3]&2 != 0, now)
			now = now.Add(time.Duration(b[3]) * time.Second)
		}
	})
}

// playFetch is one request of a session and its answer; it returns the session to go on with.
func playFetch(t *testing.T, sessions *fetchSessions, req *kmsg.FetchRequest, byID bool, now time.Time) int32 {
	t.Helper()
	fc, err := sessions.begin(req, byID, now)
	if err != nil {
		return req.SessionID
	}
	seen := map[wantKey]bool{}
	results := make([]fetchResult, len(fc.wants))
	for i, w := range fc.wants {
		if seen[w.key] {
			t.Fatalf("%+v is read twice", w.key)
		}
		seen[w.key] = true
		results[i] = fetchResult{want: w, highWatermark: int64(i), logStart: -1}
	}
	switch {
	case fc.session != nil:
		if fc.epoch <= 0 {
			t.Fatalf("the next epoch is %d", fc.epoch)
		}
		if _, err := fc.session.news(results, fc.epoch); err != nil {
			t.Fatal(err)
		}
		return fc.session.id
	case fc.begins && len(results) > 0:
		return sessions.create(results, byID, now)
	}
	return noSession
}
